namespace Siglip.Packages.Tests;

/// <summary>A folder, outside of the repository, with the packages of the libraries in <c>clone/packages</c>, and room for a project that uses them.</summary>
internal sealed class PackageFeed : IDisposable
{
    public static readonly string[] Libraries = ["Siglip.Core", "Siglip.MLNet", "Siglip.Extensions.AI"];

    private PackageFeed(string folder) => Folder = folder;

    public string Folder { get; }

    /// <summary>Where the repository would be, if this were a user's machine.</summary>
    public string Clone => Path.Combine(Folder, "clone");

    private string Packages => Path.Combine(Clone, "packages");

    /// <summary>Packs the libraries as a build server does.</summary>
    public static PackageFeed Pack()
    {
        var feed = new PackageFeed(Directory.CreateTempSubdirectory("siglip-packages-").FullName);
        try
        {
            feed.PackAgain();
            return feed;
        }
        catch
        {
            feed.Dispose();
            throw;
        }
    }

    /// <summary>Builds and packs the libraries from the beginning, at the same place.</summary>
    public void PackAgain()
    {
        string build = Path.Combine(Folder, "build"), libraries = Path.Combine(Folder, "libraries.slnf");
        if (Directory.Exists(build))
            Directory.Delete(build, recursive: true);
        string projects = string.Join(", ", Libraries.Select(library => $"\"src/{library}/{library}.csproj\""));
        File.WriteAllText(libraries, $$"""{ "solution": { "path": "{{Source.PathOf("Siglip.MLNet.sln").Replace('\\', '/')}}", "projects": [{{projects}}] } }""");
        CommandLine.Run(Source.Repository, "dotnet", "pack", libraries, "-c", "Release", "--artifacts-path", build, $"-p:PackageOutputPath={Packages}", "-p:CI=true");
    }

    public PackageFile Open(string id, string extension = ".nupkg") => new(Path.Combine(Packages, $"{id}.{Source.Version}{extension}"));

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
