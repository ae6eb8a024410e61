using System.Buffers.Binary;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;
using Siglip.Core;
using Siglip.Core.Tests;
using SkiaSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

/// <summary>Every kind of bad image, in every form of input and place of a batch, through cursors and engines.</summary>
[TestClass]
public sealed class BadImageTests
{
    private static readonly (string, SiglipOutputKind)[] EveryKind = [("Patches", SiglipOutputKind.PatchEmbeddings), ("Pooled", SiglipOutputKind.PooledEmbedding),
        ("Mean", SiglipOutputKind.MeanPatchEmbedding), ("PatchCount", SiglipOutputKind.PatchCount), ("PatchGrid", SiglipOutputKind.PatchGrid)];

    private readonly MLContext _mlContext = new(seed: 1);

    /// <summary>Input, what is wrong, part of the reason.</summary>
    public static IEnumerable<object[]> Bad =>
    [
        ["Path", "null", "The path is empty."],
        ["Path", "empty", "The path is empty."],
        ["Path", "blank", "The path is empty."],
        ["Path", "missing", "does not exist"],
        ["Path", "folder", "is a folder"],
        ["Path", "zero character", "Null character"],
        ["Path", "no bytes", "empty"],
        ["Path", "text", "no image"],
        ["Path", "truncated", "truncated"],
        ["Path", "damaged", "damaged"],
        ["Path", "large claim", "60,000 x 60,000"],
        ["Path", "wide claim", "100,000 x 1"],
        ["Bytes", "null", "There are no bytes."],
        ["Bytes", "no bytes", "There are no bytes."],
        ["Bytes", "text", "no image"],
        ["Bytes", "truncated", "truncated"],
        ["Bytes", "damaged", "damaged"],
        ["Bytes", "large claim", "60,000 x 60,000"],
        ["Bytes", "wide claim", "100,000 x 1"],
        ["Image", "null", "The image is missing (null)."],
        ["Image", "disposed", "it is disposed"],
    ];

    [TestMethod]
    [DynamicData(nameof(Bad))]
    public void The_error_says_row_column_image_and_reason(string input, string fault, string reason)
    {
        foreach (string checkpoint in (string[])[Checkpoint, NaFlex])
        {
            foreach (int batchSize in (int[])[1, 3, 16])
            {
                using var model = Fit(input, checkpoint, BadImageHandling.Throw, batchSize);
                IDataView transformed = model.Transform(Load(Good(0), Good(1), BadRow(input, fault), Good(2)));
                using DataViewRowCursor cursor = transformed.GetRowCursor(transformed.Schema);
                foreach ((string name, _) in EveryKind)
                    AssertThrows(input, fault, reason, row: 2, () => ReadRow(transformed, 2, name));
                for (int row = 0; cursor.MoveNext(); row++) // the others are good
                    Assert.IsTrue(row == 2 || EstimatorWorkout.ReadVector(cursor, transformed.Schema["Pooled"]).All(float.IsFinite));
            }

            using var fitted = Fit(input, checkpoint, BadImageHandling.Throw, batchSize: 4);
            using var engine = Engine(fitted);
            float[] expected = engine.Predict(Good(0)).Pooled;
            AssertThrows(input, fault, reason, row: 1, () => engine.Predict(BadRow(input, fault)));
            AreSame([expected], [engine.Predict(Good(0)).Pooled]);
        }
    }

    [TestMethod]
    [DynamicData(nameof(Bad))]
    public void A_missing_image_is_NaN_in_every_output_wherever_it_stands(string input, string fault, string reason)
    {
        Assert.IsFalse(string.IsNullOrEmpty(reason));
        foreach (string checkpoint in (string[])[Checkpoint, NaFlex])
        {
            foreach (int batchSize in (int[])[1, 3])
            {
                using var model = Fit(input, checkpoint, BadImageHandling.Missing, batchSize);
                float[][][] good = Rows(model, Good(0), Good(1), Good(2), Good(3));
                foreach (int[] places in (int[][])[[0], [2], [3], [0, 1, 2], [1, 4], [0, 1, 2, 3, 4, 5, 6]])
                {
                    int next = 0;
                    int[] images = [.. Enumerable.Range(0, 7).Select(row => places.Contains(row) ? -1 : next++ % 4)];
                    ImageInput[] rows = [.. images.Select(image => image < 0 ? BadRow(input, fault) : Good(image))];
                    float[][][] found = Rows(model, rows);
                    for (int row = 0; row < 7; row++)
                    {
                        string where = $"row {row}, bad: {string.Join(", ", places)}, batch size {batchSize}";
                        for (int kind = 0; kind < EveryKind.Length; kind++)
                        {
                            float[] values = found[row][kind];
                            Assert.HasCount(good[0][kind].Length, values);
                            if (images[row] < 0)
                                Assert.IsTrue(values.All(float.IsNaN), where);
                            else if (batchSize == 1) // no other row takes part
                                CollectionAssert.AreEqual(good[images[row]][kind], values, where);
                            else
                                AreClose([good[images[row]][kind]], [values]);
                        }
                    }

                    // The places of bad images hold nothing of earlier batches: after others, the same batches give the same bits.
                    ImageInput[] before = [.. Enumerable.Range(0, 2 * batchSize).Select(i => Good(3 - (i % 4)))];
                    float[][][] later = Rows(model, [.. before, .. rows]);
                    for (int row = 0; row < rows.Length; row++)
                        AreSame(found[row], later[before.Length + row]);
                }
            }

            using var fitted = Fit(input, checkpoint, BadImageHandling.Missing, batchSize: 4);
            using var engine = Engine(fitted);
            float[] expected = engine.Predict(Good(0)).Pooled;
            Prediction prediction = engine.Predict(BadRow(input, fault));
            foreach (float[] values in (float[][])[prediction.Patches, prediction.Pooled, prediction.Mean, [prediction.PatchCount], prediction.PatchGrid])
                Assert.IsTrue(values.Length > 0 && values.All(float.IsNaN));
            AreSame([expected], [engine.Predict(Good(0)).Pooled]);
        }
    }

    [TestMethod]
    [DataRow(1, 1)]
    [DataRow(5000, 1)]
    [DataRow(1, 5000)]
    [DataRow(70_000, 1)] // larger than an image file may be
    public void An_image_of_an_extreme_size_is_an_image(int width, int height)
    {
        byte[] pixels = [.. Enumerable.Range(0, width * height * 4).Select(i => i % 4 == 3 ? (byte)255 : (byte)(i * 7))];
        using MLImage image = MLImage.CreateFromPixels(width, height, MLPixelFormat.Rgba32, pixels);
        bool isFile = Math.Max(width, height) <= RgbImage.MaxSide;
        string path = isFile ? SaveImage(string.Create(CultureInfo.InvariantCulture, $"extreme-{width}x{height}.png"), width, height, Color) : "";
        var row = new ImageInput { Path = path, Bytes = isFile ? File.ReadAllBytes(path) : null, Image = image };
        foreach (string checkpoint in (string[])[Checkpoint, NaFlex])
        {
            foreach (int batchSize in (int[])[1, 3])
            {
                float[][][] found = [.. (isFile ? (string[])["Path", "Bytes", "Image"] : ["Image"]).Select(input =>
                {
                    using var model = Fit(input, checkpoint, checkpoint == NaFlex && !isFile ? BadImageHandling.Missing : BadImageHandling.Throw, batchSize);
                    float[][] cursor = Rows(model, Good(0), row, Good(1))[1];
                    using var engine = Engine(model);
                    AreClose([cursor[1]], [engine.Predict(row).Pooled]);
                    return cursor;
                })];
                bool isRefused = checkpoint == NaFlex && !isFile; // the search for a grid takes sides of image files
                foreach (float[][] values in found)
                {
                    Assert.IsTrue(values.All(output => output.All(isRefused ? float.IsNaN : float.IsFinite)));
                    AreSame(found[0], values);
                }
            }
        }

        SKColor Color(int x, int y)
        {
            int first = ((y * width) + x) * 4;
            return new SKColor(pixels[first], pixels[first + 1], pixels[first + 2]);
        }
    }

    [TestMethod]
    [DataRow("Path")]
    [DataRow("Image")]
    public void A_good_image_that_the_preprocessing_does_not_take_is_named(string input)
    {
        string folder = SaveCheckpoint($"unresized-{input}", Config, seed: 1);
        File.WriteAllText(Path.Combine(folder, "preprocessor_config.json"),
            new SiglipImageProcessorConfig { Height = 16, Width = 16, DoResize = false }.ToJson());
        IDataView data = _mlContext.Transforms.LoadImages("Image", "", "Path").Fit(Data(_mlContext, [])).Transform(Data(_mlContext, [Images[0], Images[1]]));
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", input, folder).Fit(data);

        var exception = Assert.ThrowsExactly<InvalidDataException>(() => Vectors(model.Transform(data), "Embedding"));
        StringAssert.StartsWith(exception.Message, $"Row 1, column '{input}': '{Images[1]}': The image has 40 x 24 pixels");
    }

    [TestMethod]
    public void Without_a_tag_an_image_in_memory_has_no_name()
    {
        using MLImage image = MLImage.CreateFromFile(Images[1]);
        string folder = SaveCheckpoint("unresized-untagged", Config, seed: 1);
        File.WriteAllText(Path.Combine(folder, "preprocessor_config.json"),
            new SiglipImageProcessorConfig { Height = 16, Width = 16, DoResize = false }.ToJson());
        IDataView data = Load(new ImageInput { Image = image });
        using var model = _mlContext.Transforms.SiglipFeaturizeImage("Embedding", "Image", folder).Fit(data);

        var exception = Assert.ThrowsExactly<InvalidDataException>(() => Vectors(model.Transform(data), "Embedding"));
        StringAssert.StartsWith(exception.Message, "Row 0, column 'Image': The image has 40 x 24 pixels");
    }

    private static void AssertThrows(string input, string fault, string reason, int row, Action read)
    {
        Exception exception = Assert.Throws<Exception>(read);
        string message = exception.Message;
        StringAssert.StartsWith(message, $"Row {row}, column '{input}': ");
        StringAssert.Contains(message, reason);
        StringAssert.EndsWith(message, "With BadImages set to BadImageHandling.Missing its embedding is NaN instead.");
        Assert.IsNotNull(exception.InnerException);
        Assert.AreEqual(fault is "missing" or "folder" ? typeof(FileNotFoundException) : typeof(InvalidDataException), exception.GetType());
        if (input == "Path" && fault is not ("null" or "empty" or "blank"))
            StringAssert.Contains(message, PathOf(fault));
    }

    private static float[] ReadRow(IDataView data, int row, string column)
    {
        using DataViewRowCursor cursor = data.GetRowCursor([data.Schema[column]]);
        for (int i = 0; i <= row; i++)
            Assert.IsTrue(cursor.MoveNext());
        return EstimatorWorkout.ReadVector(cursor, data.Schema[column]);
    }

    /// <summary>[row][kind][value]</summary>
    private float[][][] Rows(SiglipImageFeaturizingTransformer model, params ImageInput[] rows)
    {
        IDataView transformed = model.Transform(Load(rows));
        return [.. RowValues.ReadAll(transformed, EveryKind.Select(kind => transformed.Schema[kind.Item1])).Select(row => row.Cast<float[]>().ToArray())];
    }

    private SiglipImageFeaturizingTransformer Fit(string input, string checkpoint, BadImageHandling badImages, int batchSize) =>
        _mlContext.Transforms.SiglipFeaturizeImage(Options(input, EveryKind) with { Model = checkpoint, BadImages = badImages, BatchSize = batchSize }).Fit(Load());

    private PredictionEngine<ImageInput, Prediction> Engine(ITransformer model) =>
        _mlContext.Model.CreatePredictionEngine<ImageInput, Prediction>(model, new PredictionEngineOptions { OwnsTransformer = false });

    private IDataView Load(params ImageInput[] rows) => _mlContext.Data.LoadFromEnumerable(rows);

    private static readonly Lazy<ImageInput[]> GoodRows = new(() => [.. Images.Take(4).Select(path => new ImageInput
    {
        Path = path,
        Bytes = File.ReadAllBytes(path),
        Image = MLImage.CreateFromFile(path),
    })]);

    private static ImageInput Good(int i) => GoodRows.Value[i];

    private static ImageInput BadRow(string input, string fault) => input switch
    {
        "Path" => new ImageInput { Path = PathOf(fault) },
        "Bytes" => new ImageInput { Bytes = BytesOf(fault) },
        _ => new ImageInput { Image = fault == "null" ? null : Disposed() },
    };

    private static MLImage Disposed()
    {
        MLImage image = MLImage.CreateFromFile(Images[0]);
        image.Dispose();
        return image;
    }

    private static string? PathOf(string fault)
    {
        switch (fault)
        {
            case "null":
                return null;
            case "empty":
                return "";
            case "blank":
                return " \t";
            case "missing":
                return NewPath("missing.png");
            case "folder":
                return ImageFolder;
            case "zero character":
                return "a\0b.png";
            default:
                string path = Path.Combine(ImageFolder, $"{fault}.png");
                if (!File.Exists(path))
                    File.WriteAllBytes(path, BytesOf(fault)!);
                return path;
        }
    }

    private static byte[]? BytesOf(string fault)
    {
        byte[] png = File.ReadAllBytes(Images[3]);
        switch (fault)
        {
            case "null":
                return null;
            case "no bytes":
                return [];
            case "text":
                return "no image at all"u8.ToArray();
            case "truncated":
                return png[..200];
            case "damaged":
                png.AsSpan(60, 40).Fill(0x5A);
                return png;
            case "large claim":
                return Claim(png, 60_000, 60_000);
            case "wide claim":
                return Claim(png, 100_000, 1);
            default:
                throw new ArgumentOutOfRangeException(nameof(fault), fault, "no such fault");
        }
    }

    /// <summary>The header says another size, with the right checksum.</summary>
    private static byte[] Claim(byte[] png, int width, int height)
    {
        BinaryPrimitives.WriteInt32BigEndian(png.AsSpan(16), width);
        BinaryPrimitives.WriteInt32BigEndian(png.AsSpan(20), height);
        BinaryPrimitives.WriteUInt32BigEndian(png.AsSpan(29), EditedPng.Checksum(png.AsSpan(12, 17)));
        return png;
    }

    private sealed class ImageInput
    {
        public string? Path { get; set; }

        public byte[]? Bytes { get; set; }

        [ImageType(16, 16)]
        public MLImage? Image { get; set; }
    }

    private sealed class Prediction
    {
        public float[] Patches { get; set; } = [];

        public float[] Pooled { get; set; } = [];

        public float[] Mean { get; set; } = [];

        public float PatchCount { get; set; }

        public float[] PatchGrid { get; set; } = [];
    }
}
