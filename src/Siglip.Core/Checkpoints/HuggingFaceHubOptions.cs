namespace Siglip.Core;

/// <summary>Where models of the Hugging Face hub come from, and where they are kept. The defaults are what the environment says, by the rules of Python's
/// huggingface_hub.</summary>
public sealed record HuggingFaceHubOptions
{
    /// <summary>Options with the values of the environment.</summary>
    /// <exception cref="ArgumentException">A variable that is a number of seconds is none.</exception>
    /// <exception cref="IOException">The file with the token cannot be read.</exception>
    public HuggingFaceHubOptions()
        : this(HubEnvironment.Current)
    {
    }

    internal HuggingFaceHubOptions(HubEnvironment environment)
    {
        Endpoint = environment.Endpoint;
        CacheFolder = environment.CacheFolder;
        Token = environment.ReadToken();
        Offline = environment.Offline;
        UseSymbolicLinks = environment.UseSymbolicLinks;
        MetadataTimeout = environment.MetadataTimeout;
        DownloadTimeout = environment.DownloadTimeout;
    }

    /// <summary>The hub's address, which starts with https:// or http://. The default is <c>HF_ENDPOINT</c>, or https://huggingface.co.</summary>
    public string Endpoint { get; init; }

    /// <summary>The folder of the cache that all programs of a user share, Python's too. The default is <c>HF_HUB_CACHE</c>, or <c>hub</c> in <c>HF_HOME</c>, or
    /// <c>.cache/huggingface/hub</c> in the user's folder.</summary>
    public string CacheFolder { get; init; }

    /// <summary>The user's access token, for private and gated models; it is sent to the host of <see cref="Endpoint"/> only. The default is <c>HF_TOKEN</c>, or what
    /// <c>hf auth login</c> has stored; null for none.</summary>
    public string? Token { get; init; }

    /// <summary>Whether only the cache is used. The default is <c>HF_HUB_OFFLINE</c>, or false.</summary>
    public bool Offline { get; init; }

    /// <summary>Whether names of files in the cache are symbolic links, where the system has such. The default is true unless <c>HF_HUB_DISABLE_SYMLINKS</c> is
    /// set.</summary>
    public bool UseSymbolicLinks { get; init; }

    /// <summary>How long to wait for an answer about a file. The default is <c>HF_HUB_ETAG_TIMEOUT</c>, or 10 seconds.</summary>
    public TimeSpan MetadataTimeout { get; init; }

    /// <summary>How long to wait for the next bytes of a file. The default is <c>HF_HUB_DOWNLOAD_TIMEOUT</c>, or 10 seconds.</summary>
    public TimeSpan DownloadTimeout { get; init; }

    /// <summary>Measures the pauses before a request is made again.</summary>
    internal TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>What there is to see, without the token.</summary>
    public override string ToString() => $"{nameof(HuggingFaceHubOptions)} {{ {nameof(Endpoint)} = {Endpoint}, {nameof(CacheFolder)} = {CacheFolder}, "
        + $"{nameof(Token)} = {(Token is null ? "none" : "***")}, {nameof(Offline)} = {Offline} }}";

    /// <exception cref="ArgumentException">The address is none, or the token has characters that no token has.</exception>
    internal Uri EndpointAddress()
    {
        if (!Uri.TryCreate(Endpoint, UriKind.Absolute, out Uri? address) || (address.Scheme != Uri.UriSchemeHttps && address.Scheme != Uri.UriSchemeHttp)
            || address.Query.Length > 0 || address.Fragment.Length > 0)
            throw new ArgumentException($"The address of the hub is '{Endpoint}', expected one that starts with https:// or http://, such as https://huggingface.co; it is "
                + "in HF_ENDPOINT.");
        if (address.UserInfo.Length > 0)
            throw new ArgumentException("The address of the hub has a user's name in it, expected one without; put a token into HF_TOKEN instead.");
        if (Token is { } token && token.Any(character => character is <= ' ' or > '~'))
            throw new ArgumentException("The token for the hub has characters that no token has; check HF_TOKEN, or log in again with 'hf auth login'.");
        return address;
    }
}
