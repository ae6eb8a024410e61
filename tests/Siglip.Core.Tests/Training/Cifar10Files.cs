namespace Siglip.Core.Tests;

/// <summary>Small files in the format of CIFAR-10's binary version, with made images.</summary>
internal static class Cifar10Files
{
    public static string[] Names { get; } = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

    /// <summary>Five training batches and a test batch, numbered on; the class is the number's last digit.</summary>
    public static TemporaryFolder Write(int imagesPerFile)
    {
        var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("batches.meta.txt"), string.Join('\n', Names) + "\n\n"); // ends with an empty line, as published
        string[] files = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"];
        for (int file = 0; file < files.Length; file++)
        {
            using FileStream stream = File.Create(folder.File(files[file]));
            for (int i = file * imagesPerFile; i < (file + 1) * imagesPerFile; i++)
            {
                byte[] pixels = Pixels(i);
                stream.WriteByte((byte)(i % 10));
                for (int channel = 0; channel < 3; channel++)
                    stream.Write([.. Enumerable.Range(0, 1024).Select(pixel => pixels[(pixel * 3) + channel])]);
            }
        }

        return folder;
    }

    /// <summary>The pixels of an image, [32, 32, 3].</summary>
    public static byte[] Pixels(int number)
    {
        byte[] pixels = new byte[3072];
        new Random(number).NextBytes(pixels);
        return pixels;
    }
}
