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

    // An own reader, after numpy.lib.format.
    private static float[] ReadNpy(string path, string shape)
    {
        byte[] file = File.ReadAllBytes(path);
        CollectionAssert.AreEqual((byte[])[0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0], file[..8]);
        int start = 10 + BitConverter.ToUInt16(file, 8);
        Assert.AreEqual(0, start % 64);
        string header = Encoding.ASCII.GetString(file, 10, start - 10);
        Assert.AreEqual($"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}", header.TrimEnd());
        Assert.EndsWith("\n", header);
        return MemoryMarshal.Cast<byte, float>(file.AsSpan(start)).ToArray();
    }
}
