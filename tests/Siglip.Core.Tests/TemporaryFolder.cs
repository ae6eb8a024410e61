namespace Siglip.Core.Tests;

/// <summary>A folder that is deleted when the test ends.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("siglip-test-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>A copy of a reference model's folder, to be damaged.</summary>
    public static TemporaryFolder CopyOf(string model)
    {
        var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(ReferenceModels.Folder(model)))
            System.IO.File.WriteAllBytes(folder.File(System.IO.Path.GetFileName(file)), System.IO.File.ReadAllBytes(file));
        return folder;
    }

    public void Replace(string name, string text, string by)
    {
        string old = System.IO.File.ReadAllText(File(name));
        Assert.Contains(text, old);
        System.IO.File.WriteAllText(File(name), old.Replace(text, by, StringComparison.Ordinal));
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
