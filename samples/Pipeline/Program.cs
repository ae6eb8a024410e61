// The C# of the README, as a program. Run it at the top of the repository: dotnet run -c Release --project samples/Pipeline
using Microsoft.ML;
using Microsoft.ML.Data;
using Pipeline;
using Siglip.Core;
using Siglip.MLNet;
using TorchSharp;
using static TorchSharp.torch;

Train();
LoadAndPredict();
await EmbedAsync();
RunTheModel();
ChooseSizeAndPrecision();

static void Train()
{
    // begin-snippet: pipeline
    var mlContext = new MLContext(seed: 1);
    ImageFolderDataset photos = ImageFolderDataset.Open("samples/cifar10"); // a folder per class
    IDataView images = mlContext.Data.LoadFromEnumerable(photos.Images.Select(image =>
        new Photo { ImagePath = image.Path, Label = photos.Labels[image.Label] }));

    var pipeline = mlContext.Transforms.SiglipFeaturizeImage("Embedding", "ImagePath", output: SiglipOutputKind.PooledEmbedding)
        .AppendCacheCheckpoint(mlContext)
        .Append(mlContext.Transforms.Conversion.MapValueToKey("Label"))
        .Append(mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy("Label", "Embedding"))
        .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));

    using var model = pipeline.Fit(images);
    mlContext.Model.Save(model, images.Schema, "photos.zip");
    // end-snippet
}

static void LoadAndPredict()
{
    // begin-snippet: load
    var mlContext = new MLContext();
    ITransformer model = mlContext.Model.Load("photos.zip", out DataViewSchema schema);
    using var engine = mlContext.Model.CreatePredictionEngine<Photo, Prediction>(model); // it disposes the model, too
    foreach (string path in Directory.EnumerateFiles("samples/cifar10-new/ship").Order())
        Console.WriteLine($"{path}: {engine.Predict(new Photo { ImagePath = path }).PredictedLabel}");
    // end-snippet
}

static async Task EmbedAsync()
{
    // begin-snippet: embedder
    using var embedder = SiglipImageEmbedder.FromPretrained("nano"); // or the folder of a checkpoint, or its id on the Hugging Face hub
    float[] one = embedder.Embed(Directory.EnumerateFiles("samples/cifar10/cat").First());

    string[] files = [.. Directory.EnumerateFiles("samples/cifar10-new/cat").Order()];
    await foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(files.ToAsyncEnumerable(), CancellationToken.None)) // in batches, decoded ahead
        Console.WriteLine($"{files[embedding.Index]}: {embedding.Values.Length} values, {embedding.PatchGrid.Rows} x {embedding.PatchGrid.Columns} patches");
    // end-snippet
    Console.WriteLine($"{one.Length} values");
}

static void RunTheModel()
{
    // begin-snippet: seed
    var config = new SiglipVisionConfig { HiddenSize = 768, NumHiddenLayers = 12, NumAttentionHeads = 12, ImageSize = 224, PatchSize = 16 };
    using var model = new SiglipVisionModel(config);
    using Tensor dummy = torch.zeros(1, 3, 224, 224);
    using Tensor patches = model.call(dummy);
    Console.WriteLine($"[{string.Join(", ", patches.shape)}]"); // [1, 196, 768]
    // end-snippet
}

static void ChooseSizeAndPrecision()
{
    // begin-snippet: options
    var mlContext = new MLContext();
    var options = new SiglipImageFeaturizingOptions
    {
        InputColumnName = "ImagePath",
        Columns = { ["Patches"] = SiglipOutputKind.PatchEmbeddings, ["PatchCount"] = SiglipOutputKind.PatchCount },
        Model = "nano", // or the folder of a checkpoint, or its id on the Hugging Face hub
        Precision = SiglipPrecision.BFloat16,
        InterpolatePositionEncoding = true, // with these three images of another size; a NaFlex checkpoint takes MaxNumPatches instead
        ImageHeight = 48,
        ImageWidth = 64,
    };
    IDataView images = mlContext.Data.LoadFromEnumerable([new Photo { ImagePath = Directory.EnumerateFiles("samples/cifar10/cat").First() }]);
    using SiglipImageFeaturizingTransformer transformer = mlContext.Transforms.SiglipFeaturizeImage(options).Fit(images);
    Console.WriteLine($"{transformer.Transform(images).GetColumn<float>("PatchCount").Single()} patches"); // 192 patches: 12 x 16 of 4 x 4 pixels
    // end-snippet
}
