using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Siglip.Core;

namespace Siglip.Cli.Tests;

[TestClass]
public sealed class EmbedTests
{
    [TestMethod]
    public void A_npy_file_holds_the_embedders_numbers_in_the_order_of_the_files()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");

        SiglipResult result = SiglipProcess.Run(folder.Path, "embed", images, "--output", "e.npy", "--paths", "e.txt", "--batch-size", "3", "--model", TestFolder.VisionOnly).Succeeded();

        Assert.Contains("8 images to e.npy: float32 [8, 64]", result.Output);
        string[] paths = File.ReadAllLines(Path.Combine(folder.Path, "e.txt"));
        CollectionAssert.AreEqual(Directory.GetFiles(images, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).ToArray(), paths);
        float[] values = ReadNpy(Path.Combine(folder.Path, "e.npy"), "(8, 64)");
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(TestFolder.VisionOnly);
        for (int i = 0; i < paths.Length; i++)
        {
            float[] expected = embedder.Embed(paths[i]);
            for (int j = 0; j < expected.Length; j++)
                Assert.AreEqual(expected[j], values[(i * 64) + j], 1e-5, "other batch sizes round differently");
        }
    }

    [TestMethod]
    public void Patches_have_a_dimension_of_their_own()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1);

        SiglipProcess.Run(folder.Path, "embed", images, "--output", "e.npy", "--output-kind", "patches", "--model", TestFolder.VisionOnly).Succeeded();

        ReadNpy(Path.Combine(folder.Path, "e.npy"), "(2, 16, 64)");
    }

    [TestMethod]
    public void A_csv_file_reads_back_to_the_same_bits()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images, quoted", perClass: 2);

        foreach (string output in (string[])["e.npy", "e.csv"])
            SiglipProcess.Run(folder.Path, "embed", images, "--output", output, "--normalize", "--model", TestFolder.VisionOnly).Succeeded();

        string[] lines = File.ReadAllLines(Path.Combine(folder.Path, "e.csv"));
        Assert.StartsWith("path,e0,e1,", lines[0]);
        Assert.StartsWith("\"", lines[1]);
        float[] values = [.. lines.Skip(1).SelectMany(line => line.Split(',')[^64..]).Select(text => float.Parse(text, CultureInfo.InvariantCulture))];
        CollectionAssert.AreEqual(ReadNpy(Path.Combine(folder.Path, "e.npy"), "(4, 64)"), values);
        Assert.AreEqual(1, values[..64].Sum(value => value * value), 1e-5);
    }

    [TestMethod]
    public void Shards_together_are_the_whole()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 3);
        string[] common = ["--model", TestFolder.VisionOnly, "--batch-size", "1"];

        SiglipProcess.Run(folder.Path, ["embed", images, "--output", "all.npy", .. common]).Succeeded();
        SiglipProcess.Run(folder.Path, ["embed", images, "--output", "0.npy", "--shard", "0/4", .. common]).Succeeded();
        SiglipProcess.Run(folder.Path, ["embed", images, "--output", "1.npy", "--shard", "1/4", .. common]).Succeeded();
        SiglipProcess.Run(folder.Path, ["embed", images, "--output", "2.npy", "--shard", "2/4", .. common]).Succeeded();
        SiglipProcess.Run(folder.Path, ["embed", images, "--output", "3.npy", "--shard", "3/4", .. common]).Succeeded();

        float[] parts = [.. ReadNpy(Path.Combine(folder.Path, "0.npy"), "(1, 64)"), .. ReadNpy(Path.Combine(folder.Path, "1.npy"), "(2, 64)"),
            .. ReadNpy(Path.Combine(folder.Path, "2.npy"), "(1, 64)"), .. ReadNpy(Path.Combine(folder.Path, "3.npy"), "(2, 64)")];
        CollectionAssert.AreEqual(ReadNpy(Path.Combine(folder.Path, "all.npy"), "(6, 64)"), parts);
    }

    [TestMethod]
    public void A_bad_image_ends_the_run_or_becomes_a_row_of_NaN()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1);
        string list = Path.Combine(folder.Path, "list.txt");
        File.WriteAllLines(list, [images, Path.Combine(folder.Path, "gone.jpg")]);

        SiglipProcess.Run(folder.Path, "embed", "@list.txt", "--output", "e.npy", "--model", TestFolder.VisionOnly).Failed("gone.jpg' does not exist");
        CollectionAssert.AreEqual((string[])["images", "list.txt"], folder.Entries());

        SiglipResult missing = SiglipProcess.Run(folder.Path, "embed", "@list.txt", "--output", "e.npy", "--on-error", "missing", "--model", TestFolder.VisionOnly);
        Assert.AreEqual(3, missing.ExitCode);
        Assert.Contains("1 of 3 images could not be read.", missing.Errors);
        float[] values = ReadNpy(Path.Combine(folder.Path, "e.npy"), "(3, 64)");
        Assert.IsFalse(values[..128].Any(float.IsNaN));
        Assert.IsTrue(values[128..].All(float.IsNaN));
    }

    [TestMethod]
    public void A_list_may_hold_blanks_and_other_letters()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("im g #1 été", perClass: 2);
        File.WriteAllText(Path.Combine(folder.Path, "list.txt"), $"{images}\n\n{Directory.GetFiles(Path.Combine(images, "ship"))[0]}\n");

        SiglipResult result = SiglipProcess.Run(folder.Path, "embed", "@list.txt", "--output", "e.npy", "--model", TestFolder.VisionOnly).Succeeded();

        Assert.Contains("[5, 64]", result.Output);
        SiglipProcess.Run(folder.Path, "embed", "@gone.txt", "--output", "f.npy").Failed("The list 'gone.txt' does not exist");
    }

    [TestMethod]
    public void Hidden_files_and_links_to_folders_further_up_are_no_images_of_a_folder()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 1);
        File.WriteAllText(Path.Combine(images, "ship", "._1.png"), "what macOS leaves on other disks");
        Directory.CreateSymbolicLink(Path.Combine(images, "ship", "up"), images);

        SiglipResult result = SiglipProcess.Run(folder.Path, "embed", images, "--output", "e.npy", "--model", TestFolder.VisionOnly).Succeeded();

        Assert.Contains("[2, 64]", result.Output);
    }

    [TestMethod]
    public void An_image_of_another_size_is_a_bad_image_if_images_are_not_resized()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images"), wide = Path.Combine(images, "ship", "wide.png");
        string model = folder.CopyCheckpoint("model"), classifier = folder.CopyCheckpoint("classifier", TestFolder.Classifier);
        foreach (string file in (string[])[Path.Combine(model, "preprocessor_config.json"), Path.Combine(classifier, "preprocessor_config.json")])
            File.WriteAllText(file, """{ "do_resize": false, "size": 32 }""");
        SiglipProcess.Run(folder.Path, "train", images, "--model", "model", "--output", "m.zip").Succeeded();
        File.Copy(TestFolder.WideImage, wide);

        SiglipProcess.Run(folder.Path, "embed", images, "--model", "model", "--output", "e.npy").Failed($"'{wide}': The image has ");
        SiglipProcess.Run(folder.Path, "train", images, "--model", "model", "--output", "n.zip").Failed($"'{wide}': The image has ");
        SiglipResult embedded = SiglipProcess.Run(folder.Path, "embed", images, "--model", "model", "--output", "e.npy", "--on-error", "missing");
        foreach (SiglipResult result in (SiglipResult[])[embedded, SiglipProcess.Run(folder.Path, "predict", "classifier", images), SiglipProcess.Run(folder.Path, "predict", "m.zip", images)])
        {
            Assert.AreEqual(3, result.ExitCode, result.Errors);
            Assert.Contains($"siglip: '{wide}': The image has ", result.Errors);
            Assert.Contains("because do_resize is false", result.Errors);
            Assert.Contains("1 of 9 images could not be read.", result.Errors);
        }
    }

    [TestMethod]
    public void Files_that_are_left_out_because_of_their_extensions_are_counted()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images");
        SiglipResult all = SiglipProcess.Run(folder.Path, "embed", "images", "--output", "e.npy", "--model", TestFolder.VisionOnly).Succeeded();
        Assert.DoesNotContain("left out", all.Errors);
        foreach (string name in (string[])["a.tiff", "b.TIFF", "c.ico", ".hidden.txt"])
            File.WriteAllText(Path.Combine(images, "ship", name), "");

        foreach (string[] command in (string[][])[["embed", "images", "--output", "e.npy", "--model", TestFolder.VisionOnly], ["predict", "nano", "images"], ["evaluate", "nano", "images"],
            ["train", "images", "--output", "m.zip"], ["finetune", "images", "--model", "nano", "--output", "o", "--epochs", "1", "--validation", "images"]])
        {
            SiglipResult result = SiglipProcess.Run(folder.Path, command).Succeeded();
            Assert.Contains("siglip: 3 files of images are left out because of the extension: .ico, .tiff (read are .bmp, .gif, .jpeg, .jpg, .png, .webp).\n", result.Errors, command[0]);
        }

        Directory.CreateDirectory(Path.Combine(folder.Path, "other"));
        File.WriteAllText(Path.Combine(folder.Path, "other", "README"), "");
        SiglipProcess.Run(folder.Path, "embed", "other", "--output", "e.npy")
            .Failed("There are no images in other: expected files ending in .bmp, .gif, .jpeg, .jpg, .png, .webp, found no extension.");
    }

    [TestMethod]
    public void Patches_of_different_numbers_are_padded_with_zeros_and_their_grids_lie_beside_them()
    {
        using var folder = new TestFolder();
        string[] inputs = [TestFolder.TurnedPhoto, "gone.png", TestFolder.WideImage];

        SiglipResult result = SiglipProcess.Run(folder.Path, ["embed", .. inputs, "--output", "e.npy", "--output-kind", "patches", "--on-error", "missing", "--model", TestFolder.NaFlex]);

        Assert.AreEqual(3, result.ExitCode);
        Assert.Contains("3 images to e.npy: float32 [3, 22, 32]", result.Output);
        Assert.Contains("Rows and columns of their patches to e.spatial_shapes.npy: int32 [3, 2]", result.Output);
        float[] values = ReadNpy(Path.Combine(folder.Path, "e.npy"), "(3, 22, 32)");
        int[] shapes = MemoryMarshal.Cast<float, int>(ReadNpy(Path.Combine(folder.Path, "e.spatial_shapes.npy"), "(3, 2)", "<i4")).ToArray();
        using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(TestFolder.NaFlex, new SiglipImageEmbedderOptions { Output = SiglipEmbeddingOutputs.PatchEmbeddings });
        foreach (int i in (int[])[0, 2])
        {
            float[] expected = embedder.Embed(inputs[i]);
            Assert.HasCount(shapes[2 * i] * shapes[(2 * i) + 1] * 32, expected);
            AssertNear(expected, values.AsSpan(i * 22 * 32, expected.Length));
            Assert.AreEqual(-1, values.AsSpan((i * 22 * 32) + expected.Length, (22 * 32) - expected.Length).IndexOfAnyExcept(0f));
        }

        CollectionAssert.AreEqual((int[])[0, 0, 1, 22], shapes[2..]);
        Assert.IsTrue(values[(22 * 32)..(2 * 22 * 32)].All(float.IsNaN));

        SiglipProcess.Run(folder.Path, "embed", TestFolder.WideImage, "--output", "e.npy", "--output-kind", "patches", "--model", TestFolder.NaFlex, "--paths", "e.spatial_shapes.npy")
            .Failed("name another file");
        SiglipProcess.Run(folder.Path, "embed", TestFolder.WideImage, "--output", "pooled.npy", "--model", TestFolder.NaFlex).Succeeded();
        CollectionAssert.AreEqual((string[])["e.npy", "e.spatial_shapes.npy", "pooled.npy"], folder.Entries());

        SiglipResult other = SiglipProcess.Run(folder.Path, "embed", TestFolder.WideImage, "--output", "e.npy", "--model", TestFolder.NaFlex).Succeeded();
        Assert.Contains("e.spatial_shapes.npy is of an earlier run", other.Errors);
    }

    [TestMethod]
    public void A_csv_file_of_patches_has_a_line_for_each_patch_that_there_is()
    {
        using var folder = new TestFolder();

        SiglipResult result = SiglipProcess.Run(folder.Path, "embed", TestFolder.TurnedPhoto, "gone.png", TestFolder.WideImage, "--output", "e.csv", "--output-kind", "patches",
            "--on-error", "missing", "--model", TestFolder.NaFlex, "--max-num-patches", "6");

        Assert.AreEqual(3, result.ExitCode);
        string[] lines = File.ReadAllLines(Path.Combine(folder.Path, "e.csv"));
        Assert.StartsWith("path,patch,row,column,e0,e1,", lines[0]);
        var embedder = new SiglipImageEmbedderOptions { Output = SiglipEmbeddingOutputs.PatchEmbeddings, MaxNumPatches = 6 };
        using SiglipImageEmbedder loaded = SiglipImageEmbedder.FromPretrained(TestFolder.NaFlex, embedder);
        SiglipPatchGrid photo = loaded.EmbedBatch([RgbImage.Load(TestFolder.TurnedPhoto)], SiglipEmbeddingOutputs.PatchEmbeddings).PatchGrids[0];
        Assert.IsGreaterThan(1, photo.Rows);
        string[] places = [.. Enumerable.Range(0, photo.Count).Select(i => $"{i},{i / photo.Columns},{i % photo.Columns}"), ",,", .. Enumerable.Range(0, 6).Select(i => $"{i},0,{i}")];
        CollectionAssert.AreEqual(places, lines.Skip(1).Select(line => string.Join(',', line.Split(',')[1..4])).ToArray());
        float[] values = [.. lines.Skip(1).SelectMany(line => line.Split(',')[4..]).Select(text => float.Parse(text, CultureInfo.InvariantCulture))];
        AssertNear(loaded.Embed(TestFolder.TurnedPhoto), values.AsSpan(0, photo.Count * 32));
        Assert.IsTrue(values.AsSpan(photo.Count * 32, 32).ToArray().All(float.IsNaN));
        AssertNear(loaded.Embed(TestFolder.WideImage), values.AsSpan((photo.Count + 1) * 32));
    }

    [TestMethod]
    public void Image_size_precision_image_backend_and_orientation_are_those_of_the_embedder()
    {
        using var folder = new TestFolder();
        var sized = new SiglipImageEmbedderOptions { InterpolatePositionEncoding = true, ImageHeight = 40, ImageWidth = 64 };

        Check(["--image-size", "40x64", "--interpolate-pos-encoding"], sized);
        Check(["--image-size", "48", "--interpolate-pos-encoding", "--precision", "BF16"], sized with { ImageHeight = 48, ImageWidth = 48, Precision = SiglipPrecision.BFloat16 });
        Check(["--image-size", "32x32", "--precision", "float16", "--apply-exif-orientation"], new() { Precision = SiglipPrecision.Float16, ApplyExifOrientation = true });
        Check(["--image-backend", "torchvision"], new() { ImageBackend = SiglipImageBackend.Torchvision });
        Check(["--image-backend", "pillow"], new());
        Check(["--fast-decode"], new() { FastDecode = true });

        void Check(string[] arguments, SiglipImageEmbedderOptions options)
        {
            SiglipProcess.Run(folder.Path, ["embed", TestFolder.TurnedPhoto, "--output", "e.npy", "--model", TestFolder.VisionOnly, .. arguments]).Succeeded();
            using SiglipImageEmbedder embedder = SiglipImageEmbedder.FromPretrained(TestFolder.VisionOnly, options);
            CollectionAssert.AreEqual(embedder.Embed(TestFolder.TurnedPhoto), ReadNpy(Path.Combine(folder.Path, "e.npy"), "(1, 64)"));
        }
    }

    [TestMethod]
    public void Options_that_do_not_fit_the_model_are_named_as_on_the_command_line()
    {
        using var folder = new TestFolder();

        Embed(TestFolder.VisionOnly, "--image-size", "40x64").Failed("--image-size is 40x64 (height x width), the model's images have 32x32 pixels; add --interpolate-pos-encoding");
        Embed(TestFolder.VisionOnly, "--image-size", "7x64", "--interpolate-pos-encoding").Failed("--image-size asks for images of 7 x 64 pixels (height x width), smaller than the model's patches of 8 x 8");
        Embed(TestFolder.VisionOnly, "--max-num-patches", "9").Failed("--max-num-patches is for models with variable resolution (NaFlex)");
        Embed(TestFolder.NaFlex, "--image-size", "40").Failed("--image-size is for models with fixed resolution");
        Embed(TestFolder.NaFlex, "--interpolate-pos-encoding").Failed("--interpolate-pos-encoding is for models with fixed resolution");
        foreach (string[] wrong in (string[][])[["--image-size", "40x"], ["--image-size", "0"], ["--image-size", "1x2x3"], ["--image-size", "-4"], ["--precision", "float64"], ["--image-backend", "opencv"], ["--max-num-patches", "0"]])
            Assert.AreEqual(2, Embed(TestFolder.VisionOnly, wrong).ExitCode, string.Join(' ', wrong));

        Assert.IsEmpty(folder.Entries());

        SiglipResult Embed(string model, params string[] arguments) => SiglipProcess.Run(folder.Path, ["embed", TestFolder.WideImage, "--output", "e.npy", "--model", model, .. arguments]);
    }

    // Other batches round differently.
    private static void AssertNear(float[] expected, ReadOnlySpan<float> actual)
    {
        Assert.AreEqual(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.AreEqual(expected[i], actual[i], 1e-5, $"value {i}");
    }

    // An own reader, after numpy.lib.format.
    internal static float[] ReadNpy(string path, string shape, string type = "<f4")
    {
        byte[] file = File.ReadAllBytes(path);
        CollectionAssert.AreEqual((byte[])[0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0], file[..8]);
        int start = 10 + BitConverter.ToUInt16(file, 8);
        Assert.AreEqual(0, start % 64);
        string header = Encoding.ASCII.GetString(file, 10, start - 10);
        Assert.AreEqual($"{{'descr': '{type}', 'fortran_order': False, 'shape': {shape}, }}", header.TrimEnd());
        Assert.EndsWith("\n", header);
        return MemoryMarshal.Cast<byte, float>(file.AsSpan(start)).ToArray();
    }
}
