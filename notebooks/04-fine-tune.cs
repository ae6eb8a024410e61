// %% [markdown]
// # Fine-tune the vision model
//
// [A classifier on embeddings](02-train-and-compare-classifiers.ipynb) leaves the vision model as it is. Fine-tuning trains the model itself, together with a
// classifier: all of it, its last layers, or low-rank additions to its matrices (LoRA). It pays where photos are many, or unlike those that the model was made from.
//
// Runs on any computer, in less than a minute: it uses `nano`, the small model that comes with the library, and photos of 32 x 32 pixels from the repository.
// [README](README.md) says how to run the notebook, or the same code as an app.

// %%
#:project ../src/Siglip.MLNet/Siglip.MLNet.csproj
#:property PublishAot=false

// %%
using System.IO;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using Siglip.MLNet;

string samples = Directory.Exists("samples") ? "samples" : "../samples"; // a notebook runs in its own folder
var mlContext = new MLContext(seed: 1);
string[] vehicles = ["airplane", "automobile", "ship", "truck"];

IDataView Photos(string folder) => mlContext.Data.LoadFromEnumerable(Directory.EnumerateFiles(folder, "*.png", SearchOption.AllDirectories).Order().Select(file =>
    new { ImagePath = file, Label = vehicles.Contains(Path.GetFileName(Path.GetDirectoryName(file))!) ? "vehicle" : "animal" }));

IDataView photos = Photos($"{samples}/cifar10"); // 20 photos of each of ten kinds of things
IDataView unseen = Photos($"{samples}/cifar10-new"); // 5 others of each

// %% [markdown]
// ## Train
//
// `SiglipImageClassification` is an ML.NET trainer like any other. It takes the column with the images, and `SiglipTrainingOptions` says how it trains. Here LoRA adds
// two thin matrices to each matrix of the model, and only these and the classifier learn. Every fifth photo is held out, to measure with after each epoch.

// %%
var recorder = new Recorder();
var model = mlContext.Transforms.Conversion.MapValueToKey("Label")
    .Append(mlContext.MulticlassClassification.Trainers.SiglipImageClassification("Label", "ImagePath", new SiglipImageClassificationOptions
    {
        Model = "nano", // or the folder of a checkpoint
        Training = new SiglipTrainingOptions { Epochs = 4, BatchSize = 16, LearningRate = 1e-3, Lora = new SiglipLoraOptions { Rank = 8 } },
        ValidationSetFraction = 0.2,
        Progress = recorder,
    }))
    .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
    .Fit(photos);

// %% [markdown]
// `Progress` was told of every step. The curve is the loss, the mean over the epoch so far; the dots are the loss on the photos that were held out.

// %%
double highest = recorder.Steps.Max(step => Math.Max(step.Loss, step.Validation?.Loss ?? 0));
string At(SiglipTrainingProgress step, double loss) => FormattableString.Invariant($"{3.0 * step.Step / step.Steps:F3} {1 - loss / highest:F3}");

string curve = string.Join(" L ", recorder.Steps.Select(step => At(step, step.Loss)));
string dots = string.Concat(recorder.Steps.Where(step => step.Validation is not null).Select(step => $"<path d=\"M {At(step, step.Validation!.Loss)} h 0.001\" />"));
display(HTML($"""
    <svg viewBox="-0.05 -0.05 3.1 1.1" style="width: 480px; fill: none; stroke-width: 0.015">
    <path d="M 0 0 V 1 H 3" stroke="gray" />
    <path d="M {curve}" stroke="#1f77b4" />
    <g stroke="#d62728" style="stroke-width: 0.06; stroke-linecap: round">{dots}</g>
    </svg>
    """));
foreach (SiglipTrainingProgress step in recorder.Steps.Where(step => step.EndOfEpoch))
    Console.WriteLine($"epoch {step.Epoch}: loss {step.Loss:F2}, held out {step.Validation!.Loss:F2}, accuracy held out {step.Validation!.Accuracy:F2}");

// %% [markdown]
// ## Was it worth it?
//
// The other way is a linear classifier on the embeddings as they are. Both were trained on the same photos, and are asked about the same others.

// %%
var linear = mlContext.Transforms.Conversion.MapValueToKey("Label")
    .Append(mlContext.Transforms.SiglipFeaturizeImage("Features", "ImagePath", output: SiglipOutputKind.PooledEmbedding))
    .AppendCacheCheckpoint(mlContext)
    .Append(mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy())
    .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
    .Fit(photos);

foreach ((string name, ITransformer trained) in new (string, ITransformer)[] { ("fine-tuned with LoRA", model), ("a linear classifier", linear) })
{
    MulticlassClassificationMetrics metrics = mlContext.MulticlassClassification.Evaluate(trained.Transform(unseen));
    Console.WriteLine($"{name}: accuracy {metrics.MicroAccuracy:F2}, log-loss {metrics.LogLoss:F2}");
}

// %% [markdown]
// `nano` was made from photos of these very kinds, so there is little to gain here, as expected: try the classifier first, and fine-tune where it falls short.
//
// ## Keep it
//
// As an ML.NET model it is one file with the weights in it. As a checkpoint it is a folder for `siglip predict`, for transformers in Python, or to embed images with.

// %%
string folder = Directory.CreateTempSubdirectory("siglip-notebook-").FullName;
mlContext.Model.Save(model, photos.Schema, Path.Combine(folder, "vehicles.zip"));
model.OfType<SiglipImageClassificationTransformer>().Single().SavePretrained(Path.Combine(folder, "vehicles"));
foreach (string file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Order())
    Console.WriteLine(Path.GetRelativePath(folder, file).Replace('\\', '/'));

// %%
var engine = mlContext.Model.CreatePredictionEngine<Photo, Prediction>(mlContext.Model.Load(Path.Combine(folder, "vehicles.zip"), out _));
string truck = Directory.EnumerateFiles($"{samples}/cifar10-new/truck").Order().First();
Prediction answer = engine.Predict(new Photo { ImagePath = truck });
Console.WriteLine($"{Path.GetFileName(truck)}: {answer.PredictedLabel}");
display(HTML($"<img src=\"data:image/png;base64,{Convert.ToBase64String(File.ReadAllBytes(truck))}\" style=\"width: 96px; image-rendering: pixelated\">"));

// %% [markdown]
// Next: [similar images](05-find-similar-images.ipynb). All options, also for training from scratch: [fine-tuning in ML.NET](../docs/ml-net/fine-tuning.md),
// [fine-tuning by the command](../docs/fine-tuning.md).

// %%
engine.Dispose();
model.Dispose();
linear.Dispose();
Directory.Delete(folder, recursive: true);

// %% [types]
class Recorder : IProgress<SiglipTrainingProgress>
{
    public List<SiglipTrainingProgress> Steps { get; } = [];

    public void Report(SiglipTrainingProgress value) => Steps.Add(value);
}

class Photo
{
    public string ImagePath { get; set; } = "";

    public string Label { get; set; } = ""; // the table that was trained on has it; a prediction ignores it
}

class Prediction
{
    public string PredictedLabel { get; set; } = "";
}
