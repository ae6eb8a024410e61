using System.Globalization;
using System.Text.RegularExpressions;

namespace Siglip.Core;

/// <summary>What the environment says about the hub, by the rules of Python's huggingface_hub (constants.py, utils/_auth.py).</summary>
/// <param name="variable">The value of a variable; null if it is not set.</param>
/// <param name="home">The user's folder.</param>
internal sealed partial class HubEnvironment(Func<string, string?> variable, string home)
{
    private const string DefaultEndpoint = "https://huggingface.co";
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(10);

    /// <summary>This process's.</summary>
    public static HubEnvironment Current => new(Environment.GetEnvironmentVariable, Environment.GetFolderPath(Environment.SpecialFolder.UserProfile));

    public string Endpoint => Find("HF_ENDPOINT") ?? DefaultEndpoint;

    public string CacheFolder => Expand(Find("HF_HUB_CACHE") ?? Find("HUGGINGFACE_HUB_CACHE") ?? Path.Combine(Home, "hub"));

    public bool Offline => IsTrue(Find("HF_HUB_OFFLINE") ?? Find("TRANSFORMERS_OFFLINE"));

    public bool UseSymbolicLinks => !IsTrue(Find("HF_HUB_DISABLE_SYMLINKS"));

    public TimeSpan MetadataTimeout => Seconds("HF_HUB_ETAG_TIMEOUT");

    public TimeSpan DownloadTimeout => Seconds("HF_HUB_DOWNLOAD_TIMEOUT");

    /// <summary>The user's token; null if there is none, or it is not to be sent unasked.</summary>
    /// <exception cref="IOException">The file with the token cannot be read.</exception>
    public string? ReadToken() =>
        IsTrue(Find("HF_HUB_DISABLE_IMPLICIT_TOKEN")) ? null : Clean(Find("HF_TOKEN") ?? Find("HUGGING_FACE_HUB_TOKEN")) ?? ReadTokenFile();

    private string Home => Expand(Find("HF_HOME") ?? Path.Combine(Find("XDG_CACHE_HOME") ?? Path.Combine(home, ".cache"), "huggingface"));

    private string? ReadTokenFile()
    {
        string path = Expand(Find("HF_TOKEN_PATH") ?? Path.Combine(Home, "token"));
        try
        {
            return Clean(File.ReadAllText(path));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"The file '{path}', which may hold your token of the Hugging Face hub, cannot be read; make it readable, or set "
                + "HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to go without it.", e);
        }
    }

    private static string? Clean(string? token) =>
        token?.Replace("\r", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal).Trim() is { Length: > 0 } cleaned ? cleaned : null;

    private static bool IsTrue(string? value) => value?.ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";

    private TimeSpan Seconds(string name)
    {
        if (Find(name) is not { } text)
            return DefaultTimeout;
        if (!int.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out int seconds) || seconds is < 0 or > 86_400)
            throw new ArgumentException($"The variable {name} is '{text}', expected a whole number of seconds from 0 (for the default) to 86400.");
        return seconds == 0 ? DefaultTimeout : TimeSpan.FromSeconds(seconds);
    }

    // A variable without text counts as none.
    private string? Find(string name) => variable(name) is { Length: > 0 } value ? value : null;

    // As os.path.expanduser and os.path.expandvars: what is unknown stays as it is.
    private string Expand(string path)
    {
        if (path == "~" || path.StartsWith("~/", StringComparison.Ordinal) || (OperatingSystem.IsWindows() && path.StartsWith(@"~\", StringComparison.Ordinal)))
            path = home + path[1..];
        path = Variable().Replace(path, match => Find(match.Groups["name"].Value) ?? match.Value);
        return Path.GetFullPath(OperatingSystem.IsWindows() ? Environment.ExpandEnvironmentVariables(path) : path);
    }

    [GeneratedRegex(@"\$(?:(?<name>[A-Za-z0-9_]+)|\{(?<name>[^}]+)\})")]
    private static partial Regex Variable();
}
