using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using Siglip.MLNet;

namespace Siglip.Cli.Tests;

[TestClass]
public sealed class TrainTests
{
    [TestMethod]
    public void A_folder_of_images_becomes_a_model_that_another_process_predicts_with()
    {
        using var folder = new TestFolder();

        SiglipResult trained = SiglipProcess.Run(folder.Path, "train", TestFolder.Samples, "--output", "model.zip").Succeeded();

        Assert.Contains("Trained on 160 images of 10 classes. Accuracy on the 40 held out:", trained.Output);
        foreach (string label in (string[])["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])
            Assert.Contains($"\n{label} ", trained.Output);
        Assert.EndsWith("Predict with it: siglip predict model.zip IMAGE…", trained.Output.TrimEnd());
        CollectionAssert.AreEqual((string[])["model.zip"], folder.Entries());

        string image = Directory.GetFiles(Path.Combine(TestFolder.NewSamples, "ship"))[0];
        SiglipResult predicted = SiglipProcess.Run(folder.Path, "predict", "model.zip", image).Succeeded();
        Assert.Contains(image, predicted.Output);
        Assert.Contains(" %", predicted.Output);

        JsonNode evaluated = JsonNode.Parse(SiglipProcess.Run(folder.Path, "evaluate", "model.zip", TestFolder.NewSamples, "--json").Succeeded().Output)!;
        Assert.AreEqual(50, (int)evaluated["images"]!);
        Assert.AreEqual(50, evaluated["confusion"]!.AsArray().Sum(row => row!.AsArray().Sum(count => (int)count!)));
        Assert.IsGreaterThan(0.3, (double)evaluated["accuracy"]!, "by chance it would be 0.1; the bundled model does far better");
    }

    [TestMethod]
    public void An_embedding_cache_serves_the_next_run_and_a_file_that_is_none_is_refused()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 6, ["cat", "frog", "ship"]);
        string[] arguments = ["train", images, "--output", "model.zip", "--embedding-cache", "cache.db", "--json"];

        string first = SiglipProcess.Run(folder.Path, arguments).Succeeded().Output;
        DateTime written = File.GetLastWriteTimeUtc(Path.Combine(folder.Path, "cache.db"));
        string second = SiglipProcess.Run(folder.Path, arguments).Succeeded().Output;
        Assert.AreEqual(first, second);
        Assert.AreEqual(written, File.GetLastWriteTimeUtc(Path.Combine(folder.Path, "cache.db")), "nothing was added");
        CollectionAssert.AreEquivalent((string[])["images", "model.zip", "cache.db"], folder.Entries());

        File.WriteAllText(Path.Combine(folder.Path, "notes.txt"), new string('x', 2000));
        SiglipResult refused = SiglipProcess.Run(folder.Path, "train", images, "--output", "model.zip", "--embedding-cache", "notes.txt");
        Assert.AreEqual(1, refused.ExitCode);
        Assert.Contains("notes.txt' is no embedding cache", refused.Errors);
        Assert.HasCount(1, refused.Errors.TrimEnd().Split('\n'));
    }

    [TestMethod]
    public void The_same_seed_gives_the_same_result_and_probabilities_sum_to_one()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 6, ["cat", "frog", "ship"]);

        JsonNode first = Train("a.zip"), second = Train("b.zip");
        first["model"] = second["model"] = null;
        Assert.AreEqual(first.ToJsonString(), second.ToJsonString());
        Assert.AreEqual(15, (int)first["trainedOn"]!);
        Assert.AreEqual(3, (int)first["heldOut"]!);

        JsonNode a = Predict("a.zip"), b = Predict("b.zip");
        Assert.AreEqual(a.ToJsonString(), b.ToJsonString());
        Assert.HasCount(18, a.AsArray());
        foreach (JsonNode? row in a.AsArray())
        {
            JsonObject probabilities = row!["probabilities"]!.AsObject();
            CollectionAssert.AreEqual((string[])["cat", "frog", "ship"], probabilities.Select(pair => pair.Key).ToArray());
            Assert.AreEqual(1, probabilities.Sum(pair => (double)pair.Value!), 1e-5);
            Assert.AreEqual((string)row["label"]!, probabilities.MaxBy(pair => (double)pair.Value!).Key);
        }

        JsonNode Train(string output) => JsonNode.Parse(SiglipProcess.Run(folder.Path, "train", images, "--output", output, "--seed", "3", "--json").Succeeded().Output)!;
        JsonNode Predict(string model) => JsonNode.Parse(SiglipProcess.Run(folder.Path, "predict", model, images, "--json").Succeeded().Output)!;
    }

    [TestMethod]
    public void A_checkpoint_in_a_folder_and_another_embedding_can_be_chosen()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");

        SiglipProcess.Run(folder.Path, "train", images, "--output", "model.zip", "--model", TestFolder.VisionOnly, "--output-kind", "mean").Succeeded();

        SiglipResult predicted = SiglipProcess.Run(folder.Path, "predict", "model.zip", images).Succeeded();
        Assert.HasCount(9, predicted.Output.TrimEnd().Split('\n'));
    }

    [TestMethod]
    [DataRow("naflex", "pooled", "")]
    [DataRow("naflex", "mean", "--max-num-patches 9")]
    [DataRow("naflex", "patches", "--precision bfloat16")]
    [DataRow("vision_only", "patches", "")]
    public void Every_embedding_of_both_kinds_of_models_can_be_trained_on(string model, string kind, string options)
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");
        SiglipProcess.Run(folder.Path, ["train", images, "--output", "model.zip", "--model", Path.Combine(AppContext.BaseDirectory, model), "--output-kind", kind,
            .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries)]).Succeeded();

        JsonNode predicted = JsonNode.Parse(SiglipProcess.Run(folder.Path, "predict", "model.zip", images, "--json").Succeeded().Output)!;
        Assert.HasCount(8, predicted.AsArray());
        foreach (JsonNode? row in predicted.AsArray())
            Assert.AreEqual(1, row!["probabilities"]!.AsObject().Sum(pair => (double)pair.Value!), 1e-5);
    }

    [TestMethod]
    public void A_trained_model_keeps_how_it_computes_and_takes_no_option_for_it()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");

        SiglipProcess.Run(folder.Path, "train", images, "--output", "model.zip", "--model", TestFolder.VisionOnly, "--image-size", "40x64", "--interpolate-pos-encoding",
            "--precision", "float16", "--image-backend", "torchvision", "--apply-exif-orientation").Succeeded();

        var mlContext = new MLContext();
        ITransformer model = mlContext.Model.Load(Path.Combine(folder.Path, "model.zip"), out _);
        IDataView data = mlContext.Data.LoadFromEnumerable([new PathRow { ImagePath = TestFolder.TurnedPhoto }]);
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(TestFolder.VisionOnly, new SiglipImageEmbedderOptions
        {
            InterpolatePositionEncoding = true,
            ImageHeight = 40,
            ImageWidth = 64,
            Precision = SiglipPrecision.Float16,
            ImageBackend = SiglipImageBackend.Torchvision,
            ApplyExifOrientation = true,
        });
        CollectionAssert.AreEqual(embedder.Embed(TestFolder.TurnedPhoto), model.Transform(data).GetColumn<float[]>("Embedding").Single());
        ((IDisposable)model).Dispose();
        Assert.HasCount(9, SiglipProcess.Run(folder.Path, "predict", "model.zip", images).Succeeded().Output.TrimEnd().Split('\n'));
        foreach (string[] option in (string[][])[["--precision", "float32"], ["--image-backend", "pillow"], ["--image-size", "32"], ["--interpolate-pos-encoding"], ["--apply-exif-orientation"]])
        {
            SiglipProcess.Run(folder.Path, ["predict", "model.zip", images, .. option])
                .Failed($"{option[0]} is for checkpoints, and 'model.zip' is a saved ML.NET model, which computes as it was trained; leave the option out");
        }

        SiglipProcess.Run(folder.Path, "evaluate", "model.zip", images, "--precision", "float16").Failed("--precision is for checkpoints");
        SiglipProcess.Run(folder.Path, "explain", TestFolder.WideImage, "--model", "model.zip", "--output", "x", "--max-num-patches", "6").Failed("--max-num-patches is for checkpoints");
        SiglipProcess.Run(folder.Path, "train", images, "--output", "other.zip", "--model", TestFolder.VisionOnly, "--image-size", "40").Failed("add --interpolate-pos-encoding");
    }

    [TestMethod]
    public void A_model_may_be_measured_on_one_of_its_classes()
    {
        using var folder = new TestFolder();
        SiglipProcess.Run(folder.Path, "train", folder.WriteImages("images"), "--output", "my model.zip").Succeeded();

        JsonNode evaluated = JsonNode.Parse(SiglipProcess.Run(folder.Path, "evaluate", "my model.zip", folder.WriteImages("some", labels: ["ship"]), "--json").Succeeded().Output)!;

        Assert.AreEqual(4, (int)evaluated["images"]!);
        Assert.IsNull(evaluated["accuracyByClass"]!["frog"]);
        SiglipProcess.Run(folder.Path, "evaluate", "my model.zip", folder.WriteImages("others", labels: ["cat", "ship"])).Failed("The model does not know the classes cat; it knows frog, ship.");
    }

    [TestMethod]
    public void Images_that_cannot_be_read_are_listed_and_the_others_predicted()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");
        SiglipProcess.Run(folder.Path, "train", images, "--output", "model.zip").Succeeded();
        File.WriteAllText(Path.Combine(images, "frog", "text.jpg"), "no image");

        SiglipResult predicted = SiglipProcess.Run(folder.Path, "predict", "model.zip", images, "missing.png");

        Assert.AreEqual(3, predicted.ExitCode);
        Assert.HasCount(9, predicted.Output.TrimEnd().Split('\n'), "a heading and eight images");
        Assert.Contains("text.jpg", predicted.Errors);
        Assert.Contains("missing.png' does not exist", predicted.Errors);
        Assert.Contains("2 of 10 images could not be read.", predicted.Errors);
        Assert.AreEqual(3, SiglipProcess.Run(folder.Path, "evaluate", "model.zip", images).ExitCode);
    }

    [TestMethod]
    public void A_saved_model_of_the_image_classification_trainer_predicts_and_is_explained_too()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");
        var mlContext = new MLContext();
        IDataView rows = mlContext.Data.LoadFromEnumerable(Directory.GetFiles(images, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Select(path => new LabeledRow { ImagePath = path, Label = Path.GetFileName(Path.GetDirectoryName(path)!) }));
        var training = new SiglipTrainingOptions { Epochs = 1, TrainedLayers = 0, ClassifierInput = SiglipClassifierInput.Mean };
        var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.MulticlassClassification.Trainers.SiglipImageClassification("Label", "ImagePath", new SiglipImageClassificationOptions { Model = "nano", Training = training }))
            .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));
        using (var model = pipeline.Fit(rows))
            mlContext.Model.Save(model, rows.Schema, Path.Combine(folder.Path, "model.zip"));
        File.WriteAllText(Path.Combine(images, "frog", "text.jpg"), "no image");

        SiglipResult predicted = SiglipProcess.Run(folder.Path, "predict", "model.zip", images);

        Assert.AreEqual(3, predicted.ExitCode);
        Assert.HasCount(9, predicted.Output.TrimEnd().Split('\n'), "a heading and eight images");
        Assert.Contains("text.jpg", predicted.Errors);

        string image = Directory.GetFiles(Path.Combine(images, "ship"))[0];
        JsonNode explained = JsonNode.Parse(SiglipProcess.Run(folder.Path, "explain", image, "--model", "model.zip", "--output", "out", "--json").Succeeded().Output)!;
        JsonNode expected = JsonNode.Parse(SiglipProcess.Run(folder.Path, "predict", "model.zip", image, "--json").Succeeded().Output)![0]!;
        Assert.AreEqual((string)expected["label"]!, (string)explained["label"]!);
        Assert.AreEqual((float)expected["probabilities"]!["ship"]!, (float)explained["probabilities"]!["ship"]!, 1e-4);
    }

    private sealed class LabeledRow
    {
        public string ImagePath { get; set; } = "";

        public string Label { get; set; } = "";
    }

    private sealed class PathRow
    {
        public string ImagePath { get; set; } = "";
    }
}
