using System.Net;

namespace Siglip.Core;

/// <summary>Fetches one file into the cache: from where an earlier attempt stopped, and checked as it comes.</summary>
/// <param name="connection">Where it comes from.</param>
/// <param name="cache">Where it goes.</param>
/// <param name="file">What it is.</param>
/// <param name="options">How long to wait.</param>
/// <param name="received">Is told of the bytes that are there: those that come, and those of an earlier attempt.</param>
internal sealed class BlobDownload(HubConnection connection, HubCache cache, HubFile file, HuggingFaceHubOptions options, Action<long> received)
{
    private const int BufferSize = 1 << 17;
    private const int MaxFruitlessAttempts = 5;
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(0.5);

    private long _told; // bytes that were told of

    /// <summary>Fetches the file, unless another process does so first, and gives it its name in the snapshot.</summary>
    /// <exception cref="HubUnreachableException">The connection broke again and again. What has come stays, to go on from.</exception>
    /// <exception cref="InvalidDataException">What came is not the file.</exception>
    /// <exception cref="IOException">The cache cannot be written to, or the disk is full.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using FileLock held = await cache.LockAsync(file.Etag, cancellationToken).ConfigureAwait(false);
        if (cache.Find(file.Commit, file.Name) is null) // while this one waited, another may have fetched it
        {
            bool isNew = !cache.HasBlob(file);
            if (isNew)
                await FetchAsync(cancellationToken).ConfigureAwait(false);
            cache.Link(file, isNew);
        }

        Tell(file.Size);
    }

    private async Task FetchAsync(CancellationToken cancellationToken)
    {
        string path = cache.IncompleteOf(file.Etag);
        FileStream? opened = null;
        cache.Saving(path, () => opened = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0));
        bool isRight;
        using (FileStream stream = opened!)
        using (var hash = new BlobHash(file))
        {
            bool isResumed = await AppendPresentAsync(stream, hash, cancellationToken).ConfigureAwait(false);
            await ReceiveAllAsync(stream, hash, cancellationToken).ConfigureAwait(false);
            if (isResumed && hash.ToHex() != file.Etag) // what was there may have been damaged
            {
                Restart(stream, hash);
                await ReceiveAllAsync(stream, hash, cancellationToken).ConfigureAwait(false);
            }

            isRight = hash.ToHex() == file.Etag;
            if (!isRight)
            {
                stream.SetLength(0);
                throw connection.Faults.OtherHash(file, hash.Name, hash.ToHex());
            }

            cache.Saving(path, () => stream.Flush(flushToDisk: true));
        }

        string blob = cache.BlobOf(file.Etag);
        cache.Saving(blob, () => File.Move(path, blob, overwrite: true));
    }

    // What an earlier attempt left.
    private async Task<bool> AppendPresentAsync(FileStream stream, BlobHash hash, CancellationToken cancellationToken)
    {
        if (stream.Length > file.Size)
            stream.SetLength(0);
        byte[] buffer = new byte[BufferSize];
        int count;
        while ((count = await stream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0)
            hash.Append(buffer.AsSpan(0, count));
        Tell(stream.Position);
        return stream.Position > 0;
    }

    private async Task ReceiveAllAsync(FileStream stream, BlobHash hash, CancellationToken cancellationToken)
    {
        int fruitless = 0;
        while (stream.Position < file.Size)
        {
            long before = stream.Position;
            Exception? fault = await ReceiveAsync(stream, hash, cancellationToken).ConfigureAwait(false);
            fruitless = stream.Position > before ? 0 : fruitless + 1;
            if (fault is null)
                continue;
            if (fruitless == MaxFruitlessAttempts)
                throw new HubUnreachableException($"'{file.Name}' stopped at {stream.Position:N0} of {file.Size:N0} bytes ({fault.GetBaseException().Message.TrimEnd('.')}); "
                    + "the next attempt goes on from there", fault);
            await Task.Delay(FirstPause * Math.Pow(2, fruitless), options.TimeProvider, cancellationToken).ConfigureAwait(false);
        }
    }

    // One answer. Null, or what broke it off.
    private async Task<Exception?> ReceiveAsync(FileStream stream, BlobHash hash, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await connection.GetAsync(file, stream.Position, cancellationToken).ConfigureAwait(false);
        if (stream.Position > 0 && (response.StatusCode != HttpStatusCode.PartialContent || response.Content.Headers.ContentRange?.From != stream.Position))
            Restart(stream, hash); // all of it comes, or what was there is not wanted
        if (response.StatusCode != HttpStatusCode.OK && stream.Position == 0)
            return new IOException($"the server sends no part of it from the start, status {(int)response.StatusCode}");
        if (response.Content.Headers.ContentLength is { } length && length != file.Size - stream.Position)
            throw connection.Faults.OtherSize(file, stream.Position + length);

        byte[] buffer = new byte[BufferSize];
        using Stream body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        while (true)
        {
            int count;
            try
            {
                patience.CancelAfter(options.DownloadTimeout);
                count = await body.ReadAsync(buffer, patience.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
            {
                return e is OperationCanceledException ? new IOException($"nothing came for {options.DownloadTimeout.TotalSeconds:0.#} seconds") : e;
            }

            if (count == 0)
                return stream.Position < file.Size ? new IOException("the connection ended") : null;
            if (stream.Position + count > file.Size)
            {
                long found = stream.Position + count;
                stream.SetLength(0);
                throw connection.Faults.OtherSize(file, found);
            }

            cache.Saving(cache.IncompleteOf(file.Etag), () => stream.Write(buffer, 0, count));
            hash.Append(buffer.AsSpan(0, count));
            Tell(stream.Position);
        }
    }

    private void Restart(FileStream stream, BlobHash hash)
    {
        stream.SetLength(0);
        hash.Reset();
        Tell(0);
    }

    private void Tell(long bytes)
    {
        received(bytes - _told);
        _told = bytes;
    }
}
