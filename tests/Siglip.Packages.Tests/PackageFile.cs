using System.IO.Compression;
using System.Security.Cryptography;
using System.Xml.Linq;

namespace Siglip.Packages.Tests;

/// <summary>What is in a package.</summary>
internal sealed class PackageFile : IDisposable
{
    private readonly ZipArchive _archive;

    public PackageFile(string path)
    {
        _archive = ZipFile.OpenRead(path);
        Manifest = XDocument.Load(_archive.Entries.Single(entry => entry.FullName.EndsWith(".nuspec", StringComparison.Ordinal)).Open()).Root!
            .Elements().Single(element => element.Name.LocalName == "metadata");
    }

    /// <summary>The metadata of the .nuspec.</summary>
    public XElement Manifest { get; }

    public IReadOnlyList<string> Files => [.. _archive.Entries.Select(entry => entry.FullName).Order(StringComparer.Ordinal)];

    /// <summary>The packages that it asks for, and the versions.</summary>
    public IReadOnlyDictionary<string, string> Dependencies => Manifest.Descendants().Where(element => element.Name.LocalName == "dependency")
        .ToDictionary(element => (string)element.Attribute("id")!, element => (string)element.Attribute("version")!);

    /// <summary>An element of the metadata; null if there is none.</summary>
    public XElement? Element(string name) => Manifest.Elements().SingleOrDefault(element => element.Name.LocalName == name);

    public byte[] Read(string file)
    {
        using var contents = new MemoryStream();
        using Stream stream = _archive.GetEntry(file)!.Open();
        stream.CopyTo(contents);
        return contents.ToArray();
    }

    public string Sha256(string file) => Convert.ToHexString(SHA256.HashData(Read(file)));

    public void Dispose() => _archive.Dispose();
}
