// %% [markdown]
// # Train and compare classifiers
//
// With embeddings as its input a simple classifier is trained in a moment, as the vision model has done the hard part. Here several of ML.NET's trainers learn to tell
// ten kinds of things apart from 20 photos of each, are compared fairly, and the best one is looked at: what it confuses, and where it is wrong.
//
// Runs on any computer, in seconds: it uses `nano`, the small model that comes with the library, and photos of 32 x 32 pixels from the repository.
// [README](README.md) says how to run the notebook, or the same code as an app.

// %%
#:project ../src/Siglip.MLNet/Siglip.MLNet.csproj
#:property PublishAot=false

// %%
using System.IO;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using Siglip.Core;
using Siglip.MLNet;

string samples = Directory.Exists("samples") ? "samples" : "../samples"; // a notebook runs in its own folder
var mlContext = new MLContext(seed: 1);

IDataView Photos(ImageFolderDataset folder) => mlContext.Data.LoadFromEnumerable(folder.Images.Select(image =>
    new { ImagePath = image.Path, Label = folder.Labels[image.Label] }));

ImageFolderDataset known = ImageFolderDataset.Open($"{samples}/cifar10"); // a folder for each class
ImageFolderDataset unseen = ImageFolderDataset.Open($"{samples}/cifar10-new"); // others, to test with
Console.WriteLine($"{known.Count} photos to learn from, {unseen.Count} to test with: {string.Join(", ", known.Labels)}");

// %% [markdown]
// ## Embed once
//
// Trainers read their data many times. The embeddings are the same each time, so they are computed once and kept in memory.

// %%
IDataView photos = Photos(known);
var featurizer = mlContext.Transforms.SiglipFeaturizeImage("Features", "ImagePath", output: SiglipOutputKind.PooledEmbedding).Fit(photos);
IDataView embedded = mlContext.Data.Cache(featurizer.Transform(photos));
IDataView embeddedUnseen = mlContext.Data.Cache(featurizer.Transform(Photos(unseen)));

// %% [markdown]
// ## Compare
//
// Cross-validation trains five times, each time on four fifths of the photos, and measures with the others. *Accuracy* is the share of right answers. *Log-loss* also
// asks how sure the answers were: the lower, the better; who guesses among ten classes has 2.3.

// %%
var trainers = mlContext.MulticlassClassification.Trainers;
(string Name, IEstimator<ITransformer> Trainer)[] candidates =
[
    ("LbfgsMaximumEntropy", trainers.LbfgsMaximumEntropy()),
    ("LbfgsMaximumEntropy, L2 = 10", trainers.LbfgsMaximumEntropy(l2Regularization: 10)),
    ("SdcaMaximumEntropy, L2 = 0.1", trainers.SdcaMaximumEntropy(new SdcaMaximumEntropyMulticlassTrainer.Options { L2Regularization = 0.1f, NumberOfThreads = 1 })),
    ("OneVersusAll of AveragedPerceptron", trainers.OneVersusAll(mlContext.BinaryClassification.Trainers.AveragedPerceptron())),
    ("NaiveBayes", trainers.NaiveBayes()),
];

var comparison = candidates.Select(candidate =>
{
    var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label").Append(candidate.Trainer);
    var folds = mlContext.MulticlassClassification.CrossValidate(embedded, pipeline, numberOfFolds: 5, seed: 1);
    return (candidate.Name, Accuracy: folds.Average(fold => fold.Metrics.MicroAccuracy), LogLoss: folds.Average(fold => fold.Metrics.LogLoss));
}).ToArray();

string rows = string.Concat(comparison.Select(row => FormattableString.Invariant($"""
    <tr><td>{row.Name}</td><td>{row.Accuracy:F2}</td>
    <td><div style="background: #1f77b4; height: 12px; width: {row.Accuracy * 200:F1}px"></div></td><td style="padding-left: 1em">{row.LogLoss:F2}</td></tr>
    """)));
display(HTML($"<table><tr><th>trainer</th><th colspan=\"2\">accuracy</th><th>log-loss</th></tr>{rows}</table>"));

// %% [markdown]
// With 200 photos, accuracies closer than 0.03 are as good as equal. Naive Bayes is right as often as the others, but its scores are no probabilities, so its log-loss is
// out of range. The first one is the one to begin with; with the second one's stronger regularization (L2) it is a little better where photos are few.
//
// ## The classifier to keep
//
// It is trained on all photos. Put together with the featurizer it starts at the path of a photo, and can be saved as one file.

// %%
var classifier = mlContext.Transforms.Conversion.MapValueToKey("Label")
    .Append(trainers.LbfgsMaximumEntropy(l2Regularization: 10))
    .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
    .Fit(embedded);

string folder = Directory.CreateTempSubdirectory("siglip-notebook-").FullName;
var whole = new TransformerChain<ITransformer>(featurizer, classifier);
mlContext.Model.Save(whole, photos.Schema, Path.Combine(folder, "photos.zip"));
Console.WriteLine($"photos.zip: {new FileInfo(Path.Combine(folder, "photos.zip")).Length / 1e6:F1} MB, with the vision model in it");

// %%
IDataView predictions = classifier.Transform(embeddedUnseen);
MulticlassClassificationMetrics metrics = mlContext.MulticlassClassification.Evaluate(predictions);
Console.WriteLine($"On {unseen.Count} photos that it has never seen: accuracy {metrics.MicroAccuracy:F2}, log-loss {metrics.LogLoss:F2}");

// %% [markdown]
// ## What it confuses
//
// Each row is what photos show, each column what they were taken for. What is off the diagonal is wrong.

// %%
string[] truth = [.. unseen.Images.Select(image => unseen.Labels[image.Label])];
string[] predicted = [.. predictions.GetColumn<string>("PredictedLabel")];

string header = string.Concat(unseen.Labels.Select(label => $"<th style=\"writing-mode: vertical-rl\">{label}</th>"));
string confusion = string.Concat(unseen.Labels.Select(actual => $"<tr><th>{actual}</th>" + string.Concat(unseen.Labels.Select(taken =>
{
    int count = truth.Zip(predicted).Count(pair => pair == (actual, taken));
    string colour = actual == taken ? "44, 160, 44" : "214, 39, 40";
    return FormattableString.Invariant($"<td style=\"background: rgba({colour}, {count / 5.0:F1}); text-align: center; width: 24px\">{(count > 0 ? count : "")}</td>");
})) + "</tr>"));
display(HTML($"<table style=\"border-collapse: collapse\"><tr><td></td>{header}</tr>{confusion}</table>"));

// %% [markdown]
// ## Where it is wrong

// %%
string[] paths = [.. unseen.Images.Select(image => image.Path)];
float[][] scores = [.. predictions.GetColumn<float[]>("Score")]; // a probability for each class

string wrong = string.Concat(Enumerable.Range(0, paths.Length).Where(i => truth[i] != predicted[i]).Select(i => $"""
    <figure style="display: inline-block; margin: 4px; text-align: center; font-size: small">
    <img src="data:image/png;base64,{Convert.ToBase64String(File.ReadAllBytes(paths[i]))}" style="width: 96px; image-rendering: pixelated">
    <figcaption>{predicted[i]}, {scores[i].Max():F2}<br>({truth[i]})</figcaption></figure>
    """));
display(HTML(wrong));

// %% [markdown]
// Next: [look inside the model](03-look-inside.ipynb), [fine-tune it](04-fine-tune.ipynb). The same as a page: [cross-validation](../docs/ml-net/cross-validation.md),
// [which output, which trainer](../docs/ml-net/README.md#which-output-which-trainer).

// %%
whole.Dispose();
Directory.Delete(folder, recursive: true);
