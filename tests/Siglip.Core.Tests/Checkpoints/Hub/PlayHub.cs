using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Siglip.Core.Tests;

/// <summary>A Hugging Face hub on this machine, with a second host for large files: what the real ones answer, and on request what they should not.</summary>
internal sealed class PlayHub : IDisposable
{
    public const string Token = "hf_secretOfTheUser";

    private readonly WebApplication _hub, _storage;
    private readonly ConcurrentQueue<PlayRequest> _requests = [];

    public PlayHub()
    {
        _hub = Start(isStorage: false);
        _storage = Start(isStorage: true);
        Endpoint = _hub.Urls.Single();
        StorageEndpoint = _storage.Urls.Single().Replace("127.0.0.1", "localhost", StringComparison.Ordinal);
    }

    public ConcurrentDictionary<string, PlayRepository> Repositories { get; } = [];

    /// <summary>Answers in place of the hub, if it returns true.</summary>
    public Func<PlayRequest, HttpContext, Task<bool>>? Interference { get; set; }

    public string Endpoint { get; }

    /// <summary>Another name of this machine, and another port.</summary>
    public string StorageEndpoint { get; }

    public PlayRequest[] Requests => [.. _requests];

    /// <summary>The requests as text, in no order that can be relied on where some were at once.</summary>
    public string[] Log => [.. _requests.Select(request => $"{request}")];

    public void Forget() => _requests.Clear();

    /// <summary>Adds a model with the files of a checkpoint.</summary>
    public PlayRepository Add(string id, string folder)
    {
        var repository = new PlayRepository();
        repository.Commit(PlayRepository.FilesOf(folder));
        return Repositories[id] = repository;
    }

    /// <summary>No longer there, as without a network.</summary>
    public void Stop() => _hub.StopAsync().Wait();

    public void Dispose()
    {
        ((IDisposable)_hub).Dispose();
        ((IDisposable)_storage).Dispose();
    }

    /// <summary>Sends a part of the contents, and breaks the connection.</summary>
    public static async Task BreakOffAsync(HttpContext context, byte[] contents, long from, int count)
    {
        context.Response.ContentLength = contents.Length - from;
        if (from > 0)
        {
            context.Response.StatusCode = StatusCodes.Status206PartialContent;
            context.Response.Headers.ContentRange = $"bytes {from}-{contents.Length - 1}/{contents.Length}";
        }

        await context.Response.Body.WriteAsync(contents.AsMemory((int)from, count));
        await context.Response.Body.FlushAsync(); // an answer that ends too early closes the connection, after what was sent
    }

    public byte[] Stored(string etag) => Repositories.Values.SelectMany(repository => repository.Commits.Values).SelectMany(files => files)
        .First(file => PlayRepository.EtagOf(file.Key, file.Value) == etag).Value;

    private WebApplication Start(bool isStorage)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(options => options.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http1));
        WebApplication application = builder.Build();
        application.Run(context => AnswerAsync(context, isStorage));
        application.StartAsync().Wait();
        return application;
    }

    private async Task AnswerAsync(HttpContext context, bool isStorage)
    {
        string path = context.Request.Path.Value!;
        var request = new PlayRequest(isStorage, context.Request.Method, path, From(context), context.Request.Headers.Authorization.FirstOrDefault());
        _requests.Enqueue(request);
        if (Interference is { } interfere && await interfere(request, context))
            return;
        if (isStorage)
            await SendAsync(context, Stored(request.File), request.From);
        else
            await AnswerAsync(context, path.Split('/', StringSplitOptions.RemoveEmptyEntries), request);
    }

    // /org/name/resolve/revision/file
    private async Task AnswerAsync(HttpContext context, string[] parts, PlayRequest request)
    {
        string id = $"{parts[0]}/{parts[1]}", revision = Uri.UnescapeDataString(parts[3]), name = parts[4];
        if (!Repositories.TryGetValue(id, out PlayRepository? repository))
        {
            Refuse(context, request.Authorization is null ? 401 : 404, request.Authorization is null ? null : "RepoNotFound"); // unknown or private
        }
        else if (repository.RenamedTo is { } other)
        {
            context.Response.StatusCode = StatusCodes.Status307TemporaryRedirect;
            context.Response.Headers.Location = $"/{other}/resolve/{parts[3]}/{name}";
        }
        else if (repository.IsGated && request.Authorization != $"Bearer {Token}")
        {
            Refuse(context, request.Authorization is null ? 401 : 403, "GatedRepo");
        }
        else if ((repository.References.TryGetValue(revision, out string? commit) ? commit : revision) is var found && !repository.Commits.ContainsKey(found))
        {
            Refuse(context, 404, "RevisionNotFound");
        }
        else
        {
            context.Response.Headers["X-Repo-Commit"] = found;
            if (repository.Commits[found].TryGetValue(name, out byte[]? contents))
                await AnswerAsync(context, name, contents, request.From);
            else
                Refuse(context, 404, "EntryNotFound");
        }
    }

    private async Task AnswerAsync(HttpContext context, string name, byte[] contents, long from)
    {
        string etag = PlayRepository.EtagOf(name, contents);
        if (!PlayRepository.IsStored(name))
        {
            context.Response.Headers.ETag = $"\"{etag}\"";
            await SendAsync(context, contents, from);
            return;
        }

        context.Response.StatusCode = StatusCodes.Status302Found;
        context.Response.Headers.ETag = "\"of-the-pointer\"";
        context.Response.Headers["X-Linked-Etag"] = $"\"{etag}\"";
        context.Response.Headers["X-Linked-Size"] = $"{contents.Length}";
        context.Response.Headers.Location = $"{StorageEndpoint}/{etag}?Signature=secretOfTheStorage";
    }

    private static void Refuse(HttpContext context, int status, string? code)
    {
        context.Response.StatusCode = status;
        if (code is not null)
            context.Response.Headers["X-Error-Code"] = code;
    }

    private static async Task SendAsync(HttpContext context, byte[] contents, long from)
    {
        if (from > 0)
        {
            context.Response.StatusCode = StatusCodes.Status206PartialContent;
            context.Response.Headers.ContentRange = $"bytes {from}-{contents.Length - 1}/{contents.Length}";
        }

        context.Response.ContentLength = contents.Length - from;
        if (context.Request.Method != "HEAD")
            await context.Response.Body.WriteAsync(contents.AsMemory((int)from));
    }

    private static long From(HttpContext context) =>
        context.Request.GetTypedHeaders().Range?.Ranges.Single().From ?? 0;
}
