// %% [markdown]
// # Embed images in an ML.NET pipeline
//
// An embedding is a list of numbers that says what an image shows: images of similar things have similar numbers. Here a pipeline adds embeddings to a table of photos, as columns.
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
using Siglip.MLNet;

string samples = Directory.Exists("samples") ? "samples" : "../samples"; // a notebook runs in its own folder
string[] kinds = ["airplane", "cat", "ship"];
string[] files = [.. kinds.SelectMany(kind => Directory.EnumerateFiles($"{samples}/cifar10/{kind}").Order().Take(4))];

string Picture(string file) =>
    $"<img src=\"data:image/png;base64,{Convert.ToBase64String(File.ReadAllBytes(file))}\" style=\"width: 64px; image-rendering: pixelated; margin: 2px\">";

display(HTML(string.Concat(files.Select(Picture))));

// %% [markdown]
// ## The pipeline
//
// ML.NET's table is an `IDataView`. `SiglipFeaturizeImage` takes the column with the paths and adds a column with the embeddings. Other inputs are the bytes of
// image files and ML.NET's `MLImage`.
//
// Nothing is computed yet: images are read, decoded and sent through the model, 16 at a time, when somebody reads the column.

// %%
var mlContext = new MLContext();
IDataView photos = mlContext.Data.LoadFromEnumerable(files.Select(file => new { ImagePath = file }));

var estimator = mlContext.Transforms.SiglipFeaturizeImage("Embedding", "ImagePath", model: "nano", output: SiglipOutputKind.PooledEmbedding);
var transformer = estimator.Fit(photos);
IDataView embedded = transformer.Transform(photos);

foreach (DataViewSchema.Column column in embedded.Schema)
    Console.WriteLine($"{column.Name}: {column.Type}");

// %%
float[][] embeddings = [.. embedded.GetColumn<float[]>("Embedding")];
foreach ((string file, float[] embedding) in files.Zip(embeddings).Take(3))
    Console.WriteLine($"{Path.GetFileName(file)}: {embedding[0]:F3} {embedding[1]:F3} {embedding[2]:F3} …");

// %% [markdown]
// ## What the numbers are good for
//
// Alone, none of these numbers means anything. Together they do: two photos are compared by the cosine of their embeddings, 1 for the same photo, and smaller the
// less they have in common. Each row and each column of this table is a photo; the darker, the more alike.

// %%
double Cosine(float[] a, float[] b) =>
    a.Zip(b, (x, y) => (double)x * y).Sum() / Math.Sqrt(a.Sum(x => (double)x * x) * b.Sum(y => (double)y * y));

string cells = string.Concat(embeddings.Select((row, i) => $"<tr><td>{Picture(files[i])}</td>" + string.Concat(embeddings.Select(other =>
{
    double cosine = Cosine(row, other);
    string background = FormattableString.Invariant($"rgba(31, 119, 180, {Math.Max(0, cosine):F2})");
    return FormattableString.Invariant($"<td style=\"background: {background}; color: {(cosine > 0.6 ? "white" : "black")}; text-align: center; width: 44px\">{cosine:F2}</td>");
})) + "</tr>"));
display(HTML($"<table style=\"border-collapse: collapse\">{cells}</table>"));

// %%
double same = files.Index().SelectMany(a => files.Index().Where(b => a.Index < b.Index && Kind(a.Item) == Kind(b.Item))
    .Select(b => Cosine(embeddings[a.Index], embeddings[b.Index]))).Average();
double different = files.Index().SelectMany(a => files.Index().Where(b => a.Index < b.Index && Kind(a.Item) != Kind(b.Item))
    .Select(b => Cosine(embeddings[a.Index], embeddings[b.Index]))).Average();
Console.WriteLine($"Mean cosine of two photos of the same kind {same:F2}, of two kinds {different:F2}");

string Kind(string file) => Path.GetFileName(Path.GetDirectoryName(file))!;

// %% [markdown]
// ## More than one output
//
// The model divides an image into patches and makes an embedding of each; the *pooled* embedding sums them up with attention, the *mean* is their mean.
// One pass through the model serves all columns, and only those that somebody reads are computed.

// %%
var options = new SiglipImageFeaturizingOptions
{
    InputColumnName = "ImagePath",
    Columns =
    {
        ["Pooled"] = SiglipOutputKind.PooledEmbedding,
        ["Mean"] = SiglipOutputKind.MeanPatchEmbedding,
        ["Patches"] = SiglipOutputKind.PatchEmbeddings,
        ["PatchGrid"] = SiglipOutputKind.PatchGrid, // rows and columns
    },
    Normalize = true, // each embedding has length 1, so that a dot product is the cosine
};
var several = mlContext.Transforms.SiglipFeaturizeImage(options).Fit(photos);
IDataView outputs = several.Transform(photos);
foreach (DataViewSchema.Column column in outputs.Schema)
    Console.WriteLine($"{column.Name}: {column.Type}");

float[] grid = outputs.GetColumn<float[]>("PatchGrid").First();
Console.WriteLine($"{grid[0]} x {grid[1]} patches");

// %% [markdown]
// The transformers hold the model's weights, outside of .NET's heap: dispose them when you are done.
//
// Next: [a classifier on embeddings](02-train-and-compare-classifiers.ipynb), [what the model sees](03-look-inside.ipynb),
// [similar images](05-find-similar-images.ipynb). All about columns: [embeddings](../docs/ml-net/embeddings.md).

// %%
transformer.Dispose();
several.Dispose();
