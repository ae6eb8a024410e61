using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class DataViewImagesTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    [DataRow("Path")]
    [DataRow("Bytes")]
    [DataRow("Image")]
    public void Every_kind_of_column_gives_its_images_in_any_order(string column)
    {
        var images = DataViewImages.Read(View(), "Label", column);

        Assert.AreEqual(TestModel.Images.Count, images.Count);
        CollectionAssert.AreEqual((string[])["cat", "dog", "emu"], images.Labels.ToArray());
        foreach (int i in (int[])[6, 0, 3, 3, 1, 2, 5, 4])
        {
            Assert.AreEqual(i % 3, images.LabelOf(i));
            CollectionAssert.AreEqual(RgbImage.Load(TestModel.Images[i]).Data.ToArray(), images.Load(i).Data.ToArray(), $"image {i}");
        }

        Assert.AreEqual(column == "Path" ? $"'{TestModel.Images[4]}' (row 4)" : "the image of row 4", images.NameOf(4));
    }

    [TestMethod]
    public void A_source_of_batches_gives_the_same_as_for_folders_of_these_images()
    {
        var processor = new SiglipImageProcessor(new SiglipImageProcessorConfig { Height = 16, Width = 16 });
        var options = new TrainingSourceOptions { BatchSize = 3, Augmentation = new() { RandomResizedCrop = true, MixupAlpha = 1 } };
        TorchNative.Ensure();

        float[][] Read(string column) => [.. new TrainingSource(DataViewImages.Read(View(), "Label", column), processor, options)
            .Batches(1, 0, CancellationToken.None).SelectMany(batch =>
            {
                using (batch)
                    return (float[][])[batch.Inputs.data<float>().ToArray(), batch.Targets.data<float>().ToArray()];
            })];

        float[][] paths = Read("Path"), bytes = Read("Bytes");
        Assert.HasCount(6, paths);
        for (int i = 0; i < paths.Length; i++)
            CollectionAssert.AreEqual(paths[i], bytes[i]);
    }

    [TestMethod]
    public void Rows_without_a_label_are_left_out_and_counted()
    {
        IDataView view = _mlContext.Data.LoadFromEnumerable(TestModel.Images.Select((path, i) => new Row { Path = path, Class = i == 1 ? "other" : "cat" }));
        IDataView mapped = _mlContext.Transforms.Conversion.MapValueToKey(
            "Label", "Class", keyData: _mlContext.Data.LoadFromEnumerable([new KeyRow { Key = "cat" }, new KeyRow { Key = "dog" }])).Fit(view).Transform(view);

        var images = DataViewImages.Read(mapped, "Label", "Path");

        Assert.AreEqual((TestModel.Images.Count - 1, 1), (images.Count, images.WithoutLabel));
        CollectionAssert.AreEqual((string[])["cat", "dog"], images.Labels.ToArray());
        Assert.AreEqual($"'{TestModel.Images[2]}' (row 2)", images.NameOf(1));
        CollectionAssert.AreEqual(RgbImage.Load(TestModel.Images[2]).Data.ToArray(), images.Load(1).Data.ToArray());
    }

    [TestMethod]
    public void Labels_are_the_values_of_the_keys_of_any_type_or_else_numbers()
    {
        IDataView view = _mlContext.Data.LoadFromEnumerable(TestModel.Images.Select((path, i) => new Row { Path = path, Number = (i + 1) * 5 }));
        IDataView numbers = _mlContext.Transforms.Conversion.MapValueToKey("Label", "Number").Fit(view).Transform(view);
        CollectionAssert.AreEqual((string[])["5", "10", "15", "20", "25", "30", "35"], DataViewImages.Read(numbers, "Label", "Path").Labels.ToArray());

        IDataView keys = _mlContext.Data.LoadFromEnumerable([new KeyedRow { Path = TestModel.Images[0], Label = 3 }, new KeyedRow { Path = TestModel.Images[1], Label = 4 }]); // ML.NET counts these from 0 here, and has no key for 4
        var images = DataViewImages.Read(keys, "Label", "Path");
        CollectionAssert.AreEqual((string[])["0", "1", "2", "3"], images.Labels.ToArray());
        Assert.AreEqual((3, 1, 1), (images.LabelOf(0), images.Count, images.WithoutLabel));
    }

    [TestMethod]
    public void A_bad_image_is_an_error_of_its_row_when_it_is_asked_for()
    {
        byte[] png = File.ReadAllBytes(TestModel.Images[0]);
        Row[] rows = [new() { Path = TestModel.Images[0], Bytes = png }, new() { Path = "", Bytes = png[..40] }, new() { Path = "a\0b", Bytes = [] }];
        IDataView view = Keyed(_mlContext.Data.LoadFromEnumerable(rows));

        Assert.AreEqual("Row 1: The path is empty.", Refused("Path", 1));
        Assert.StartsWith("Row 2: Null character", Refused("Path", 2));
        Assert.StartsWith("Row 1: the encoded image", Refused("Bytes", 1));
        Assert.AreEqual("Row 2: There are no bytes.", Refused("Bytes", 2));
        Assert.AreEqual("Row 0: The image is missing (null).", Refused("Image", 0));
        Assert.AreEqual(16, DataViewImages.Read(view, "Label", "Bytes").Load(0).Width);

        string Refused(string column, int index) => Assert.ThrowsExactly<InvalidDataException>(() => DataViewImages.Read(view, "Label", column).Load(index)).Message;
    }

    [TestMethod]
    public void What_fails_for_another_reason_than_the_image_is_thrown_at_once()
    {
        IDataView Failing(Exception exception) =>
            _mlContext.Data.LoadFromEnumerable([new FailingRow { Path = TestModel.Images[0] }, new FailingRow { Failure = exception }]);

        Assert.ThrowsExactly<OperationCanceledException>(() => DataViewImages.Read(Failing(new OperationCanceledException()), "Label", "Path"));
        var images = DataViewImages.Read(Failing(new IOException("The disk is gone.")), "Label", "Path");
        Assert.AreEqual("Row 1: The disk is gone.", Assert.ThrowsExactly<InvalidDataException>(() => images.Load(1)).Message);
    }

    [TestMethod]
    public void Wrong_columns_and_too_many_decoded_images_are_refused()
    {
        IDataView view = View();

        Assert.Contains("'Class'", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => DataViewImages.Read(view, "Class", "Path")).Message);
        Assert.Contains("MapValueToKey", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => DataViewImages.Read(view, "Class", "Path")).Message);
        Assert.Contains("'Number'", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => DataViewImages.Read(view, "Label", "Number")).Message);
        Assert.Contains("'None'", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => DataViewImages.Read(view, "None", "Path")).Message);
        Assert.Contains(
            "The first 2 images of column 'Image' take 3,648 bytes, at most 1,000 are kept; name a column of paths",
            Assert.ThrowsExactly<InvalidOperationException>(() => DataViewImages.Read(view, "Label", "Image", maxMemory: 1000)).Message);
        Assert.AreEqual(7, DataViewImages.Read(view, "Label", "Path", maxMemory: 0).Count);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsExactly<OperationCanceledException>(() => DataViewImages.Read(view, "Label", "Path", cancellationToken: cancelled.Token));
    }

    private IDataView View() => Keyed(_mlContext.Data.LoadFromEnumerable(TestModel.Images.Select((path, i) => new Row
    {
        Path = path,
        Bytes = File.ReadAllBytes(path),
        Image = Lossless(path),
        Class = ((string[])["cat", "dog", "emu"])[i % 3],
    })));

    // Decoded as the paths are; ML.NET's own decoding of JPEG differs.
    private static MLImage Lossless(string path)
    {
        RgbImage image = RgbImage.Load(path);
        byte[] pixels = [.. image.Data.ToArray().Chunk(3).SelectMany(rgb => (byte[])[rgb[2], rgb[1], rgb[0], 255])];
        return MLImage.CreateFromPixels(image.Width, image.Height, MLPixelFormat.Bgra32, pixels);
    }

    private IDataView Keyed(IDataView view) => _mlContext.Transforms.Conversion.MapValueToKey("Label", "Class").Fit(view).Transform(view);

    private sealed class Row
    {
        public string Path { get; set; } = "";

        public byte[] Bytes { get; set; } = [];

        [Microsoft.ML.Transforms.Image.ImageType(16, 16)]
        public MLImage? Image { get; set; }

        public string Class { get; set; } = "cat";

        public int Number { get; set; }
    }

    private sealed class KeyRow
    {
        public string Key { get; set; } = "";
    }

    private sealed class KeyedRow
    {
        public string Path { get; set; } = "";

        [KeyType(4)]
        public uint Label { get; set; }
    }

    private sealed class FailingRow
    {
        private readonly string _path = "";

        public string Path
        {
            get => Failure is null ? _path : throw Failure;
            init => _path = value;
        }

        [KeyType(4)]
        public uint Label { get; set; }

        [NoColumn]
        public Exception? Failure { get; init; }
    }
}
