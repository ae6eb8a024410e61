// %% [markdown]
// # Find similar images
//
// Photos of similar things have similar embeddings. So the nearest embeddings answer three questions without any training: which photos are like this one, what
// does a photo show, and which photos are there twice.
//
// Runs on any computer, in seconds: it uses `nano`, the small model that comes with the library, and photos of 32 x 32 pixels from the repository.
// [README](README.md) says how to run the notebook, or the same code as an app.

// %%
#:project ../src/Siglip.MLNet/Siglip.MLNet.csproj
#:property PublishAot=false

// %%
using System.IO;
using System.Numerics.Tensors;
using Siglip.Core;

string samples = Directory.Exists("samples") ? "samples" : "../samples"; // a notebook runs in its own folder
string[] collection = [.. Directory.EnumerateFiles($"{samples}/cifar10", "*.png", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
string[] queries = [.. Directory.EnumerateFiles($"{samples}/cifar10-new", "*.png", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];

// %% [markdown]
// ## The index
//
// `SiglipImageEmbedder` is the way without ML.NET: files in, embeddings out. With `Normalize` each embedding has length 1, and the dot product of two is their cosine
// similarity. The index is an array. For many files there is `EmbedAsync`, which embeds in batches while the next files are decoded.

// %%
var embedder = SiglipImageEmbedder.FromPretrained("nano", new SiglipImageEmbedderOptions { Normalize = true }); // or the folder of a checkpoint

float[][] index = [.. collection.Select(file => embedder.Embed(file))];
float[][] asked = [.. queries.Select(file => embedder.Embed(file))];
Console.WriteLine($"{index.Length} embeddings of {index[0].Length} numbers");

// %% [markdown]
// ## Which photos are like this one?
//
// On the left the photo that is asked for, which is not in the collection; then the five nearest, with their similarity.

// %%
(int Photo, float Similarity)[] Nearest(float[] query, int count) =>
    [.. index.Select((embedding, i) => (Photo: i, Similarity: TensorPrimitives.Dot(embedding, query))).OrderByDescending(photo => photo.Similarity).Take(count)];

string Kind(string file) => Path.GetFileName(Path.GetDirectoryName(file))!;

string Picture(string file, string caption) => $"""
    <figure style="display: inline-block; margin: 4px; text-align: center; font-size: small">
    <img src="data:image/png;base64,{Convert.ToBase64String(File.ReadAllBytes(file))}" style="width: 80px; image-rendering: pixelated">
    <figcaption>{caption}</figcaption></figure>
    """;

foreach (string kind in new[] { "ship", "horse", "automobile", "bird" })
{
    int query = Array.FindIndex(queries, file => Kind(file) == kind);
    string found = string.Concat(Nearest(asked[query], 5).Select(photo => Picture(collection[photo.Photo], $"{Kind(collection[photo.Photo])} {photo.Similarity:F2}")));
    display(HTML($"{Picture(queries[query], $"<b>{kind}</b>")} &rarr; {found}"));
}

// %% [markdown]
// ## What does a photo show?
//
// The neighbours say it, by majority. A new kind of thing is known as soon as there are examples of it in the collection; nothing is trained.

// %%
string Vote(float[] query, int neighbours) =>
    Nearest(query, neighbours).CountBy(photo => Kind(collection[photo.Photo])).MaxBy(kind => kind.Value).Key;

foreach (int neighbours in new[] { 1, 5, 10 })
{
    double share = queries.Zip(asked).Average(query => Vote(query.Second, neighbours) == Kind(query.First) ? 1 : 0);
    Console.WriteLine($"neighbours: {neighbours}, right: {share:P1} of {queries.Length} photos");
}

// %% [markdown]
// ## Which photos are there twice?
//
// A copy that was made smaller, brighter or blurred has other bytes, but nearly the same embedding. Here is one: a photo of the collection, halved in size.
// The photos nearest to it:

// %%
int original = Array.FindIndex(collection, file => Kind(file) == "frog");
RgbImage halved = ImageResizer.Resize(RgbImage.Load(collection[original]), 16, 16, ImageResampling.Bilinear);
float[] copy = embedder.Embed(halved);
(int Photo, float Similarity)[] suspects = Nearest(copy, 3);
display(HTML(string.Concat(suspects.Select(photo => Picture(collection[photo.Photo], $"{photo.Similarity:F2}")))));
Console.WriteLine(suspects[0].Photo == original ? "The nearest is the photo that the copy was made from." : "The nearest is another photo.");

// %% [markdown]
// Up to some hundred thousand photos an array is all that it takes: a dot product takes less than a microsecond. Beyond that, a
// [vector database](../docs/how-to/vector-database.md). As a page, with clusters: [similar images, few examples, clusters](../docs/ml-net/similar-images.md).

// %%
embedder.Dispose();
