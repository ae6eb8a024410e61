using System.Runtime.CompilerServices;

namespace Siglip.Tests;

/// <summary>No test asks the real hub, or uses the models and the token of whoever runs it.</summary>
internal static class NoHub
{
#pragma warning disable CA2255 // before any test, in every test project
    [ModuleInitializer]
#pragma warning restore CA2255
    public static void GoOffline()
    {
        foreach (string variable in (string[])[
            "HF_ENDPOINT", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN",
            "HF_HUB_DISABLE_SYMLINKS", "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT", "TRANSFORMERS_OFFLINE"])
            Environment.SetEnvironmentVariable(variable, null);
        foreach (string variable in (string[])["NO_PROXY", "no_proxy"])
            Environment.SetEnvironmentVariable(variable, "127.0.0.1,localhost"); // where the tests' own hub is
        Environment.SetEnvironmentVariable("HF_HUB_OFFLINE", "1");
        Environment.SetEnvironmentVariable("HF_HOME", Path.Combine(AppContext.BaseDirectory, "no-hub"));
    }
}
