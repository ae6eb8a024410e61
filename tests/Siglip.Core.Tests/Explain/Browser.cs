using System.Diagnostics;

namespace Siglip.Core.Tests;

/// <summary>A headless Chromium: the one that the variable CHROMIUM names, or one on the path.</summary>
internal static class Browser
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private static string? Program => Environment.GetEnvironmentVariable("CHROMIUM") is { Length: > 0 } named
        ? named
        : (from name in (string[])["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
           from folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
           select Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    /// <summary>Opens a page and waits until it is loaded and its scripts have run.</summary>
    /// <param name="page">A file.</param>
    /// <param name="folder">For what the browser writes.</param>
    /// <param name="arguments">Further options.</param>
    /// <returns>The page as HTML, as its scripts have left it.</returns>
    public static string Open(string page, string folder, params string[] arguments)
    {
        if (Program is not { } program)
        {
            Assert.Inconclusive("There is no Chromium on this machine: install it (apt-get install chromium), or name it in the variable CHROMIUM.");
            return "";
        }

        using var process = Process.Start(new ProcessStartInfo(program, [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            $"--user-data-dir={Path.Combine(folder, "chromium")}", "--virtual-time-budget=20000", "--dump-dom", .. arguments, new Uri(page).AbsoluteUri])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{program} did not end within {Patience}.");
        }

        Assert.AreEqual(0, process.ExitCode, errors.Result);
        return output.Result;
    }
}
