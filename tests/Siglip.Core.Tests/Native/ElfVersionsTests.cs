using System.Buffers.Binary;

namespace Siglip.Core.Tests;

/// <summary>On the library that it exists for, which lies next to the tests.</summary>
[TestClass]
[OSCondition(OperatingSystems.Linux)]
public sealed class ElfVersionsTests
{
    private static byte[] Library => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so"));

    [TestMethod]
    public void Making_a_version_weak_sets_one_bit_of_one_byte()
    {
        byte[] original = Library, patched = Library;
        Assert.IsTrue(ElfVersions.TryMakeWeak(patched, "GLIBCXX_3.4.32"u8, "_ZSt21ios_base_library_initv"u8));
        int[] changed = [.. Enumerable.Range(0, original.Length).Where(i => original[i] != patched[i])];
        Assert.HasCount(1, changed);
        Assert.AreEqual(original[changed[0]] | 2, patched[changed[0]]);
        Assert.IsTrue(ElfVersions.TryMakeWeak([.. patched], "GLIBCXX_3.4.32"u8, "_ZSt21ios_base_library_initv"u8), "once more");
    }

    [TestMethod]
    [DataRow("GLIBCXX_9.9.99", "_ZSt21ios_base_library_initv", "not required")]
    [DataRow("GLIBCXX_3.4.3", "_ZSt21ios_base_library_initv", "only the beginning of a name")]
    [DataRow("GLIBCXX_3.4.32", "_ZSt21ios_base_library_init", "only the beginning of a symbol")]
    [DataRow("GLIBC_2.2.5", "_ZSt21ios_base_library_initv", "other symbols need it")]
    public void A_version_that_others_need_or_nobody_needs_is_left_alone(string version, string symbol, string reason)
    {
        byte[] image = Library;
        Assert.IsFalse(ElfVersions.TryMakeWeak(image, System.Text.Encoding.ASCII.GetBytes(version), System.Text.Encoding.ASCII.GetBytes(symbol)), reason);
        Assert.IsTrue(image.AsSpan().SequenceEqual(Library), reason);
    }

    [TestMethod]
    public void Nonsense_is_refused()
    {
        const int seed = 5;
        var random = new Random(seed);
        Assert.IsFalse(Try([]));
        Assert.IsFalse(Try(new byte[1000]));
        byte[] library = Library;
        foreach (int length in (int[])[1, 16, 63, 64, 65, 1000, library.Length / 2])
            Assert.IsFalse(Try(library[..length]), $"cut off at {length}");
        for (int i = 0; i < 200; i++)
        {
            byte[] noise = new byte[4096];
            random.NextBytes(noise);
            library.AsSpan(0, 64).CopyTo(noise);
            BinaryPrimitives.WriteInt64LittleEndian(noise.AsSpan(0x28), random.Next(64, 4000)); // where the section headers are
            for (int section = BinaryPrimitives.ReadInt32LittleEndian(noise.AsSpan(0x28)), k = 0; section + 64 <= noise.Length; section += 64, k++)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(noise.AsSpan(section + 4), k % 2 == 0 ? 0x6FFFFFFE : 0x6FFFFFFFu); // the kinds that are looked for
                BinaryPrimitives.WriteInt32LittleEndian(noise.AsSpan(section + 0x18), random.Next(5000));
                BinaryPrimitives.WriteInt32LittleEndian(noise.AsSpan(section + 0x28), random.Next(70));
            }

            Assert.IsFalse(Try(noise), $"seed {seed}, round {i}");
        }

        static bool Try(byte[] image) => ElfVersions.TryMakeWeak(image, "GLIBCXX_3.4.32"u8, "_ZSt21ios_base_library_initv"u8);
    }
}
