using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Microsoft.Extensions.Http.Resilience;
using Polly;

namespace Siglip.Core;

/// <summary>Asks the hub for files of one model: with the user's token, which goes to the hub's own host only, and again where waiting may help.</summary>
/// <remarks>Redirects are followed here, because what follows them by itself would have to be told who may get the token.</remarks>
internal sealed class HubConnection : IDisposable
{
    private const int MaxRedirects = 5;
    private const int MaxRetries = 5;
    private static readonly TimeSpan MaxRetryAfter = TimeSpan.FromMinutes(5); // the hub counts requests in windows of this length
    private static readonly TimeSpan MaxDelay = TimeSpan.FromSeconds(8);

    private readonly HuggingFaceHubOptions _options;
    private readonly HubModel _model;
    private readonly Uri _endpoint;
    private readonly AuthenticationHeaderValue? _token;
    private readonly HttpMessageInvoker _client;
    private readonly ResiliencePipeline<HttpResponseMessage> _patience;

    public HubConnection(HuggingFaceHubOptions options, HubModel model)
    {
        (_options, _model, _endpoint) = (options, model, options.EndpointAddress());
        _token = options.Token is { } token ? new AuthenticationHeaderValue("Bearer", token) : null;
        Faults = new HubFaults(_endpoint, model, _token is not null);
        _client = new HttpMessageInvoker(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None, // sizes and hashes are those of the file itself
        });
        _patience = new ResiliencePipelineBuilder<HttpResponseMessage> { TimeProvider = options.TimeProvider }
            .AddRetry(new HttpRetryStrategyOptions
            {
                MaxRetryAttempts = MaxRetries,
                Delay = TimeSpan.FromSeconds(0.5),
                MaxDelay = MaxDelay,
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                ShouldHandle = arguments => ValueTask.FromResult(HttpClientResiliencePredicates.IsTransient(arguments.Outcome) && IsWorthWaiting(arguments.Outcome)),
            })
            .Build();
    }

    public HubFaults Faults { get; }

    /// <summary>Asks what a file is.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="revision">A branch, a tag or a commit.</param>
    /// <param name="isPatient">Whether to ask again where waiting may help.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The file, or null if the model has none of that name; and the commit, if it is known.</returns>
    /// <exception cref="HubUnreachableException">There is no answer, or the hub is out of order.</exception>
    /// <exception cref="FileNotFoundException">There is no such model.</exception>
    /// <exception cref="ArgumentException">There is no such revision.</exception>
    /// <exception cref="UnauthorizedAccessException">The model is gated.</exception>
    /// <exception cref="InvalidDataException">The answer is none of a hub.</exception>
    public async Task<(HubFile? File, string? Commit)> FindAsync(string name, string revision, bool isPatient, CancellationToken cancellationToken)
    {
        (HttpResponseMessage response, Uri address) = await SendAsync(HttpMethod.Head, name, revision, from: 0, _options.MetadataTimeout, isPatient, cancellationToken)
            .ConfigureAwait(false);
        using (response)
        {
            string? commit = Header(response, "X-Repo-Commit");
            if (commit is not null && (!HubModel.IsCommit(commit) || (HubModel.IsCommit(revision) && commit != revision)))
                throw Faults.Malformed(name, "the X-Repo-Commit", commit, HubModel.IsCommit(revision) ? revision : "a commit of 40 hexadecimal digits");
            if (HubFaults.SaysAbsent(response))
                return (null, commit);
            bool isElsewhere = IsRedirect(response);
            if (!response.IsSuccessStatusCode && !isElsewhere)
                throw Faults.Of(response, name, address);

            string? etag = (Header(response, "X-Linked-Etag") ?? Header(response, "ETag"))?.TrimStart('W', '/').Trim('"');
            string? size = Header(response, "X-Linked-Size") ?? (isElsewhere ? null : Header(response, "Content-Length"));
            if (commit is null)
                throw Faults.Malformed(name, "X-Repo-Commit", null, "that of a hub");
            if (etag is null || !HubFile.IsEtag(etag))
                throw Faults.Malformed(name, etag is null ? "ETag" : "the ETag", etag, "a SHA-256 or a git SHA-1");
            if (!long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out long bytes))
                throw Faults.Malformed(name, size is null ? "length" : "the length", size, "the number of its bytes");
            return (new HubFile(name, commit, etag, bytes), commit);
        }
    }

    /// <summary>Asks for a file's contents.</summary>
    /// <param name="file">The file.</param>
    /// <param name="from">The first byte that is wanted.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The contents, from that byte with status 206, all of them with 200; or status 416.</returns>
    /// <exception cref="HubUnreachableException">There is no answer, or the hub is out of order.</exception>
    public async Task<HttpResponseMessage> GetAsync(HubFile file, long from, CancellationToken cancellationToken)
    {
        (HttpResponseMessage response, Uri address) = await SendAsync(HttpMethod.Get, file.Name, file.Commit, from, _options.DownloadTimeout, isPatient: true, cancellationToken)
            .ConfigureAwait(false);
        if (response.StatusCode is HttpStatusCode.OK or HttpStatusCode.PartialContent or HttpStatusCode.RequestedRangeNotSatisfiable)
            return response;
        using (response)
            throw Faults.Of(response, file.Name, address);
    }

    /// <summary>How long a server asks to wait; null if it does not.</summary>
    public static TimeSpan? RetryAfter(HttpResponseMessage response, DateTimeOffset now) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - now is var delta && delta > TimeSpan.Zero ? delta : TimeSpan.Zero,
        _ => null,
    };

    public void Dispose() => _client.Dispose();

    // Where a question about a file is sent on to another host it ends: the answer to it is there already, beside the address.
    private async Task<(HttpResponseMessage Response, Uri Address)> SendAsync(
        HttpMethod method, string name, string revision, long from, TimeSpan timeout, bool isPatient, CancellationToken cancellationToken)
    {
        var address = new Uri($"{_endpoint.AbsoluteUri.TrimEnd('/')}/{_model.Id}/resolve/{Uri.EscapeDataString(revision)}/{Uri.EscapeDataString(name)}");
        for (int redirects = 0; ; redirects++)
        {
            HttpResponseMessage response = await SendOnceOrMoreAsync(method, address, from, timeout, isPatient, cancellationToken).ConfigureAwait(false);
            if (!IsRedirect(response))
                return (response, address);
            try
            {
                Uri target = response.Headers.Location is { } location ? new Uri(address, location) : throw Faults.BadRedirect(name, "on without an address");
                if (target.Scheme != Uri.UriSchemeHttps && (target.Scheme != Uri.UriSchemeHttp || address.Scheme == Uri.UriSchemeHttps))
                    throw Faults.BadRedirect(name, $"on to an address of the kind {target.Scheme}");
                if (method == HttpMethod.Head && !IsSameOrigin(target, address))
                    return (response, address);
                if (redirects == MaxRedirects)
                    throw Faults.BadRedirect(name, $"on more than {MaxRedirects} times");
                address = target;
            }
            catch
            {
                response.Dispose();
                throw;
            }

            response.Dispose();
        }
    }

    private async Task<HttpResponseMessage> SendOnceOrMoreAsync(
        HttpMethod method, Uri address, long from, TimeSpan timeout, bool isPatient, CancellationToken cancellationToken)
    {
        try
        {
            return isPatient
                ? await _patience.ExecuteAsync(async token => await SendOnceAsync(method, address, from, timeout, token).ConfigureAwait(false), cancellationToken).ConfigureAwait(false)
                : await SendOnceAsync(method, address, from, timeout, cancellationToken).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            throw HubFaults.NoAnswer(address, e);
        }
    }

    private async Task<HttpResponseMessage> SendOnceAsync(HttpMethod method, Uri address, long from, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, address);
        request.Headers.UserAgent.Add(new ProductInfoHeaderValue("Siglip.MLNet", typeof(HubConnection).Assembly.GetName().Version!.ToString(3)));
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
        if (IsSameOrigin(address, _endpoint))
            request.Headers.Authorization = _token;
        if (from > 0)
            request.Headers.Range = new RangeHeaderValue(from, null);

        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(timeout);
        try
        {
            return await _client.SendAsync(request, patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HttpRequestException(string.Create(CultureInfo.InvariantCulture, $"no answer in {timeout.TotalSeconds:0.#} seconds"));
        }
    }

    // Without a network, or with a wrong address, waiting does not help. A server that asks for hours has its answer reported instead.
    private bool IsWorthWaiting(Outcome<HttpResponseMessage> outcome) => outcome switch
    {
        { Exception: HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError } } => false,
        { Exception: HttpRequestException { InnerException: SocketException e } }
            when e.SocketErrorCode is SocketError.TryAgain or SocketError.NetworkUnreachable or SocketError.HostUnreachable => false,
        { Result: { } response } => (RetryAfter(response, _options.TimeProvider.GetUtcNow()) ?? TimeSpan.Zero) <= MaxRetryAfter,
        _ => true,
    };

    private static bool IsRedirect(HttpResponseMessage response) => response.StatusCode is HttpStatusCode.MovedPermanently or HttpStatusCode.Found
        or HttpStatusCode.SeeOther or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect;

    private static bool IsSameOrigin(Uri first, Uri second) => first.Scheme == second.Scheme && first.Host == second.Host && first.Port == second.Port;

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out IEnumerable<string>? values) || response.Content.Headers.TryGetValues(name, out values) ? values.FirstOrDefault() : null;
}
