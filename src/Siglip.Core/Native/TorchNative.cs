using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Microsoft.Win32.SafeHandles;
using TorchSharp;

namespace Siglip.Core;

/// <summary>Loads the native libtorch runtime, on systems with an older C++ runtime too.</summary>
/// <remarks>
/// TorchSharp's native library asks for <c>GLIBCXX_3.4.32</c>, which Debian 12 and Ubuntu 22.04 do not have, for the sake of
/// one symbol that nothing in it refers to. Where the ordinary load fails, a copy in memory whose request is marked as weak
/// is loaded instead; no file is changed. In a notebook there is no application folder: the libraries are loaded from NuGet's folder, where the kernel has
/// TorchSharp from.
/// </remarks>
public static partial class TorchNative
{
    private const string ShimFile = "libLibTorchSharp.so";

    private static readonly Lock Gate = new();
    private static nint _patched;
    private static bool _ready;

    /// <summary>Loads libtorch, if that has not happened yet. Every entry point of this library calls it.</summary>
    /// <remarks>Call it before your own first use of <see cref="torch"/>, if that comes before the first use of this library.</remarks>
    /// <exception cref="DllNotFoundException">The application references no package with the native libraries.</exception>
    /// <exception cref="InvalidOperationException"><see cref="torch"/> was used too early, and failed.</exception>
    public static void Ensure()
    {
        if (Volatile.Read(ref _ready))
            return;

        var owner = typeof(torch).Assembly; // typeof does not run torch's static constructor
        bool hasTorch = FindPackageFolders(owner.Location).Any(folder => NativeLibrary.TryLoad(Path.Combine(folder, TorchFile), out _)) // before the system's own of another version
            || NativeLibrary.TryLoad("torch_cpu", owner, null, out _); // the system's own, if the application has none
        if (!hasTorch || (!NativeLibrary.TryLoad("LibTorchSharp", owner, null, out _) && FindNative(LibTorchSharpFile) is null))
            throw new DllNotFoundException(
                "The native libraries of libtorch were not found. Add ONE of the packages TorchSharp-cpu, TorchSharp-cuda-linux or "
                + $"TorchSharp-cuda-windows, version {owner.GetName().Version?.ToString(3)}, to the application's project.");

        NativeLibrary.Load("LibTorchSharp", owner, null); // throws with the reason if the file is there and does not load
        try
        {
            RuntimeHelpers.RunClassConstructor(typeof(torch).TypeHandle);
        }
        catch (TypeInitializationException e)
        {
            throw new InvalidOperationException("torch was used, and failed to load, before anything of this library; it stays unusable in this process. "
                + "Call TorchNative.Ensure() as the first statement of the program.", e);
        }

        Volatile.Write(ref _ready, true);
    }

    /// <summary>Loads libtorch on another thread, so that the first use need not wait for all of it. If that fails, the first use says so.</summary>
    internal static void BeginLoading() => Task.Run(Ensure);

#pragma warning disable CA2255 // A module initializer in a library: it registers one handler, loads nothing and never throws.
    [ModuleInitializer]
    internal static void Register()
    {
        var context = AssemblyLoadContext.GetLoadContext(typeof(torch).Assembly) ?? AssemblyLoadContext.Default;
        if (!FindPackageFolders(typeof(torch).Assembly.Location).Any() || !TryPutFirst(context))
            context.ResolvingUnmanagedDll += Resolve;
    }
#pragma warning restore CA2255

    // Raised only after normal probing failed.
    private static nint Resolve(Assembly assembly, string name) => name switch
    {
        "torch_cpu" => LoadFile(TorchFile),
        "LibTorchSharp" => OperatingSystem.IsLinux() ? LoadPatched() : LoadFile(LibTorchSharpFile),
        _ => 0,
    };

    // A notebook's kernel has a handler, too. Where the ordinary load fails, that one throws, and no handler after it is asked.
    private static bool TryPutFirst(AssemblyLoadContext context)
    {
        try
        {
            ref Func<Assembly, string, nint>? handlers = ref HandlersOf(context);
            handlers = (Func<Assembly, string, nint>)Delegate.Combine((Func<Assembly, string, nint>)Resolve, handlers);
            return true;
        }
        catch (MissingFieldException) // another version of .NET
        {
            return false;
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_resolvingUnmanagedDll")]
    private static extern ref Func<Assembly, string, nint>? HandlersOf(AssemblyLoadContext context);

    private static nint LoadPatched()
    {
        lock (Gate) // must not touch torch: another thread may be in its static constructor and wait here
        {
            if (_patched != 0)
                return _patched;
            if (FindNative(ShimFile) is not { } shim)
                return 0;

            byte[] image = File.ReadAllBytes(shim);
            if (!ElfVersions.TryMakeWeak(image, "GLIBCXX_3.4.32"u8, "_ZSt21ios_base_library_initv"u8))
                return 0; // it failed for another reason, which the ordinary load reports

            // In memory $ORIGIN points nowhere. The dynamic linker matches these by name once they are loaded.
            foreach (string file in (string[])["libc10.so", "libtorch_cpu.so", "libtorch.so"])
            {
                if (!NativeLibrary.TryLoad(FindNative(file) ?? file, out _))
                    return 0;
            }

            return _patched = LoadFromMemory(image) is var handle and not 0 ? handle : LoadFromTemporaryFile(image);
        }
    }

    private static nint LoadFile(string file) => FindNative(file) is { } path && NativeLibrary.TryLoad(path, out nint handle) ? handle : 0;

    private static string TorchFile =>
        OperatingSystem.IsWindows() ? "torch_cpu.dll" : OperatingSystem.IsMacOS() ? "libtorch_cpu.dylib" : "libtorch_cpu.so";

    private static string LibTorchSharpFile =>
        OperatingSystem.IsWindows() ? "LibTorchSharp.dll" : OperatingSystem.IsMacOS() ? "libLibTorchSharp.dylib" : ShimFile;

    private static string? FindNative(string file)
    {
        string searched = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        return searched.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Append(AppContext.BaseDirectory)
            .Concat(FindPackageFolders(typeof(torch).Assembly.Location))
            .Select(directory => Path.Combine(directory, file))
            .FirstOrDefault(File.Exists);
    }

    /// <summary>The folders of native libraries in NuGet's folder, if TorchSharp was loaded from there: its own, and that of the version of libtorch for the CPU that it is
    /// made for.</summary>
    /// <param name="torchSharp">TorchSharp's assembly, such as <c>~/.nuget/packages/torchsharp/0.107.0/lib/net8.0/TorchSharp.dll</c>.</param>
    internal static IEnumerable<string> FindPackageFolders(string torchSharp)
    {
        if (torchSharp.Length == 0 || new FileInfo(torchSharp).Directory is not { Parent: { Name: "lib", Parent: { Parent: { Name: "torchsharp", Parent: { } packages } } package } })
            return [];

        string platform = $"{(OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux")}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";
        var libtorch = new DirectoryInfo(Path.Combine(packages.FullName, $"libtorch-cpu-{platform}"));
        IEnumerable<DirectoryInfo> fitting = libtorch.Exists ? libtorch.EnumerateDirectories().Where(folder => IsLibtorchVersion(folder.Name)) : [];
        return fitting.Prepend(package).Select(folder => Path.Combine(folder.FullName, "runtimes", platform, "native"));
    }

    // TorchSharp's constant has a fourth number, which NuGet leaves out where it is 0. Another version of libtorch has other functions.
    private static bool IsLibtorchVersion(string folder) =>
        typeof(torch).GetField("libtorchPackageVersion", BindingFlags.NonPublic | BindingFlags.Static)?.GetRawConstantValue() is string wanted
        && (folder == wanted || folder + ".0" == wanted);

    private static nint LoadFromMemory(byte[] image)
    {
        int descriptor = memfd_create(ShimFile, 1 /* MFD_CLOEXEC */);
        if (descriptor < 0)
            return 0;

        using var memory = new SafeFileHandle(descriptor, ownsHandle: true); // the mapping outlives the descriptor
        RandomAccess.Write(memory, image, 0);
        return NativeLibrary.TryLoad($"/proc/self/fd/{descriptor}", out nint handle) ? handle : 0;
    }

    private static nint LoadFromTemporaryFile(byte[] image)
    {
        string folder = Directory.CreateTempSubdirectory("torch-").FullName; // only this user may enter it
        try
        {
            string copy = Path.Combine(folder, ShimFile);
            File.WriteAllBytes(copy, image);
            return NativeLibrary.Load(copy);
        }
        finally
        {
            Directory.Delete(folder, recursive: true); // the mapping keeps the contents
        }
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int memfd_create(string name, uint flags);
}
