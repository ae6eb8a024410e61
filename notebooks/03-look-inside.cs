// %% [markdown]
// # Look inside the model
//
// A SigLIP vision transformer cuts an image into patches, lets the patches look at each other, layer by layer, and makes an embedding of what they have found. Here each of these
// steps is a picture, for one photo.
//
// Runs on any computer, in seconds: it uses `nano`, the small model that comes with the library, and photos of 32 x 32 pixels from the repository.
// [README](README.md) says how to run the notebook, or the same code as an app. With a real model the pictures are finer: give the folder of a checkpoint in place of `nano`.

// %%
#:project ../src/Siglip.MLNet/Siglip.MLNet.csproj
#:property PublishAot=false

// %%
using System.IO;
using Siglip.Core;

string samples = Directory.Exists("samples") ? "samples" : "../samples"; // a notebook runs in its own folder
var explainer = SiglipExplainer.FromPretrained("nano");
SiglipExplanation explanation = explainer.Explain($"{samples}/cifar10-new/horse/45204.png");
Console.WriteLine($"{explanation.Image.Width} x {explanation.Image.Height} pixels, {explanation.PatchGrid.Rows} x {explanation.PatchGrid.Columns} patches");

void Show(params RgbImage[] pictures) => display(HTML( // side by side
    $"<div style=\"display: flex; gap: 8px; align-items: flex-start\">{string.Concat(pictures.Select(picture => $"<div style=\"flex: 0 1 auto\">{picture.ToHtml()}</div>"))}</div>"));

// %% [markdown]
// ## Patching
//
// The image as the model sees it: resized to its input size, and divided into patches, which it numbers line by line. Whatever is smaller than a pixel here, the model cannot see.

// %%
Show(explanation.DrawPatchGrid());

// %% [markdown]
// To the model a patch is what a word is to a language model: the image is a sequence of 64 of them. Each patch, 4 x 4 pixels in three colours, becomes an embedding of 128 numbers;
// each number says how much the patch looks like one of 128 learned filters. Some filters answer to edges, others to a colour.

// %%
Show(explainer.DrawPatchFilters());

// %% [markdown]
// In a sequence nothing says any more which patch was beside which. So to each patch an embedding of its position is added. Below, each tile shows how similar the embedding of
// one position is to those of all others: bright at its own place, and around it.

// %%
Show(explainer.DrawPositionSimilarities());

// %% [markdown]
// ## Self-attention
//
// In each layer each patch takes something from all patches; how much from which one is its attention. For the patch in row 3, column 3 (in the red frame): a line of tiles for each of the
// six layers, a tile for each of the four heads.

// %%
(int row, int column) = (3, 3);
Show(explanation.DrawAttention(row, column));

// %% [markdown]
// At the end a learned vector, the probe, looks at all patches and makes the one embedding of the image from them. On the left where it looks; on the right *attention rollout*, which
// follows attention through all layers down to the image.

// %%
Show(explanation.GetProbeAttention().DrawOver(explanation.Image), explanation.GetRollout().DrawOver(explanation.Image));

// %% [markdown]
// How far do heads look? The mean distance between a patch and those that it attends to, in pixels:

// %%
for (int layer = 0; layer < explanation.Attentions.Count; layer++)
{
    IEnumerable<double> distances = Enumerable.Range(0, explanation.Heads).Select(head => explanation.GetAttentionDistance(layer, head));
    Console.WriteLine($"layer {layer}: {string.Join("  ", distances.Select(distance => $"{distance:F1}"))}");
}

// %% [markdown]
// ## Output embeddings
//
// After the last layer each patch has an embedding that says what it is in this image. On the left the three directions in which they differ most, as red, green and blue: patches of one colour
// are the same kind of thing to the model. On the right how similar each patch is to the one in row 3, column 3.

// %%
Show(explanation.DrawEmbeddings(), explanation.GetSimilarity(row, column).DrawOver(explanation.Image));

// %% [markdown]
// The embedding of the image is a point among others. Here are those of the 50 photos in `samples/cifar10-new`, in the two dimensions in which they differ most.

// %%
ImageFolderDataset photos = ImageFolderDataset.Open($"{samples}/cifar10-new");
var embedder = SiglipImageEmbedder.FromPretrained("nano");
var map = new SiglipEmbeddingMap(
    [.. photos.Images.Select(photo => embedder.Embed(photo.Path))],
    [.. photos.Images.Select(photo => photos.Labels[photo.Label])]);
display(HTML(map.ToHtml()));

// %% [markdown]
// ## Why this label?
//
// `nano` has a classifier. Which patches speak for its answer (on the left), and which would speak for a cat (on the right)?

// %%
foreach ((string label, float probability) in explanation.Labels!.Zip(explanation.Probabilities!).OrderByDescending(answer => answer.Second).Take(3))
    Console.WriteLine($"{label} {probability:F2}");
Show(explanation.GetRelevance().DrawOver(explanation.Image), explanation.GetRelevance("cat").DrawOver(explanation.Image));

// %% [markdown]
// Next: [fine-tune the model](04-fine-tune.ipynb). All pictures, what they are made of, and the command: [what the model sees](../docs/explain.md).

// %%
explainer.Dispose();
embedder.Dispose();
