using System.Runtime.InteropServices;
using TorchSharp;

namespace Siglip.Core.Tests;

/// <summary>Where native libraries are looked for, besides the application's folder.</summary>
[TestClass]
public sealed class TorchNativeTests
{
    [TestMethod]
    public void In_a_notebook_they_are_found_in_NuGets_folder_with_the_libtorch_that_TorchSharp_is_made_for()
    {
        using var packages = new TemporaryFolder();
        string native = Path.Combine("runtimes", $"{(OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux")}-"
            + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant(), "native");
        string libtorch = packages.File($"libtorch-cpu-{native.Split(Path.DirectorySeparatorChar)[1]}");
        foreach (string version in (string[])["2.9.1", "2.10.0", "2.11.0"])
            Directory.CreateDirectory(Path.Combine(libtorch, version, native));

        Assert.AreSequenceEqual(
            [packages.File(Path.Combine("torchsharp", "0.107.0", native)), Path.Combine(libtorch, "2.10.0", native)],
            TorchNative.FindPackageFolders(packages.File(Path.Combine("torchsharp", "0.107.0", "lib", "net8.0", "TorchSharp.dll"))));
    }

    [TestMethod]
    public void An_application_looks_into_no_package_folder()
    {
        Assert.IsEmpty(TorchNative.FindPackageFolders(typeof(torch).Assembly.Location));
        Assert.IsEmpty(TorchNative.FindPackageFolders(""));
    }
}
