using System.Globalization;
using System.Net;

namespace Siglip.Core;

/// <summary>What the hub's answers mean for the user. No message has a token in it, nor an address that a server made up.</summary>
/// <remarks>Source of the codes: huggingface_hub, utils/_http.py.</remarks>
internal sealed class HubFaults(Uri endpoint, HubModel model, bool hasToken)
{
    private string Host => HostOf(endpoint);

    /// <summary>The error of an answer that is neither a file nor "no such file".</summary>
    /// <param name="response">The answer.</param>
    /// <param name="name">The file that was asked for.</param>
    /// <param name="address">Where the answer is from: the hub, or where it keeps large files.</param>
    public Exception Of(HttpResponseMessage response, string name, Uri address) => (CodeOf(response), response.StatusCode) switch
    {
        ("GatedRepo", _) => Gated(),
        ("RevisionNotFound", _) => new ArgumentException($"'{model.Id}' has no revision '{model.Revision}' on {Host}; name a branch, a tag or a commit of it, or leave "
            + "the revision out for main."),
        ("RepoNotFound", _) or (null, HttpStatusCode.Unauthorized) when HostOf(address) == Host => UnknownModel(),
        (_, HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden) => new UnauthorizedAccessException($"{HostOf(address)} does not give '{name}' of '{model.Id}' out (status "
            + $"{(int)response.StatusCode}); {(hasToken ? "check what the token that was sent may read" : "if the model is private, set HF_TOKEN to a token that may read it")}."),
        (_, HttpStatusCode.TooManyRequests) => new HubUnreachableException($"{HostOf(address)} takes no more requests for now (status 429){Wait(response)}"
            + (hasToken ? "" : "; with a token in HF_TOKEN more of them are allowed")),
        (_, >= HttpStatusCode.InternalServerError or HttpStatusCode.RequestTimeout) => new HubUnreachableException($"{HostOf(address)} answers with status {(int)response.StatusCode}"),
        _ => new HubUnreachableException($"{HostOf(address)} answers with status {(int)response.StatusCode} when asked for '{name}' of '{model.Id}' (check HF_ENDPOINT and proxies)"),
    };

    /// <summary>Whether an answer says that the repository is there, and this file is not in it.</summary>
    public static bool SaysAbsent(HttpResponseMessage response) => (CodeOf(response), response.StatusCode) is ("EntryNotFound", _) or (null, HttpStatusCode.NotFound);

    public static HubUnreachableException NoAnswer(Uri address, Exception e) =>
        new($"{HostOf(address)} cannot be reached ({e.GetBaseException().Message.TrimEnd('.')})", e);

    public InvalidDataException Malformed(string name, string what, string? found, string expected) =>
        new($"{Host} answers for '{name}' of '{model.Id}' with {(found is null ? $"no {what}" : $"{what} '{Shortened(found)}'")}, expected {expected}; check whether "
            + "HF_ENDPOINT is a hub, and what proxies change.");

    public InvalidDataException OtherSize(HubFile file, long found) => new(string.Create(CultureInfo.InvariantCulture,
        $"'{file.Name}' of '{model.Id}' comes with {found:N0} bytes, and {Host} says that it has {file.Size:N0}; try again, and check proxies if it stays so."));

    public InvalidDataException OtherHash(HubFile file, string hashName, string found) =>
        new($"'{file.Name}' of '{model.Id}' came with {hashName} {found}, expected {file.Etag}: it was changed on its way, and is not kept; fetch it again.");

    public InvalidDataException BadRedirect(string name, string why) => new($"{Host} sends whoever asks for '{name}' of '{model.Id}' {why}; check HF_ENDPOINT and proxies.");

    public FileNotFoundException NoFile(string name) => new($"'{model}' on {Host} has no {name}, which a checkpoint of transformers has.");

    public FileNotFoundException NoSafetensors(bool hasPickle) => new($"'{model}' on {Host} has no {CheckpointWeights.FileName}"
        + (hasPickle
            ? ", only a pytorch_model.bin, which is not read, because such a file can run code; name a revision with safetensors, or convert it with save_pretrained in Python."
            : $" and no {CheckpointWeights.IndexName}; name a model whose weights are in the safetensors format."));

    private FileNotFoundException UnknownModel() => new($"{Host} has no model '{model.Id}'"
        + (SiglipVariants.TryFind(model.Id) is null ? $" (the nearest known ones are {string.Join(", ", SiglipVariants.Nearest(model.Id))})" : "")
        + (hasToken ? ", or the token that was sent is not valid or may not read it." : ", or it is private, and HF_TOKEN needs a token that may read it."));

    private UnauthorizedAccessException Gated() => new($"'{model.Id}' is gated: ask for access on {endpoint.GetComponents(UriComponents.SchemeAndServer, UriFormat.UriEscaped)}/{model.Id}"
        + (hasToken
            ? " with the account of the token that was sent, which has none yet."
            : ", make a token of that account at https://huggingface.co/settings/tokens, and set HF_TOKEN to it."));

    private static string HostOf(Uri address) => address.IsDefaultPort ? address.Host : $"{address.Host}:{address.Port}";

    private static string? CodeOf(HttpResponseMessage response) =>
        response.Headers.TryGetValues("X-Error-Code", out IEnumerable<string>? codes) ? codes.FirstOrDefault() : null;

    private static string Wait(HttpResponseMessage response) => HubConnection.RetryAfter(response, DateTimeOffset.UtcNow) is { } delay
        ? string.Create(CultureInfo.InvariantCulture, $"; it asks to wait for {Math.Ceiling(delay.TotalSeconds):N0} seconds") : "";

    private static string Shortened(string text) => text.Length > 80 ? text[..80] + "…" : text;
}
