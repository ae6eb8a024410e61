using System.Runtime.ExceptionServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>The images of some rows on their way from the input column to embeddings: read, decode, one forward pass.</summary>
/// <remarks>The memory is used again for each batch. Serves one thread at a time.</remarks>
internal sealed class ImageBatch
{
    private readonly SiglipImageFeaturizingTransformer _transformer;
    private readonly PixelValueBatch _images;
    private readonly SiglipEmbeddingOutputs _outputs;
    private readonly string _column;
    private readonly string _valueName;
    private readonly ImageSource _source;
    private readonly Dictionary<ImageKey, int> _slotOf = []; // the first slot with an image, if there is a cache
    private long[] _rows = [];
    private string?[] _names = []; // of images that are bad, or not looked at, where they are known
    private Exception?[] _faults = []; // of reading or decoding; null where the image is good
    private ImageKey[] _keys = [];
    private CachedEmbedding?[] _known = []; // from the cache
    private int[] _owners = []; // the slot that has the image: the slot itself, or an earlier one of the same image
    private int[] _places = []; // of the slot's image in the forward pass; -1 if it is known
    private int _placesUsed;
    private ImageLookup? _cache;
    private AwaitedLoop? _decoding; // of the images, if it has begun before they are computed
    private SiglipImageEmbeddings? _embeddings; // null if no image of the batch is good, or no embedding is wanted

    /// <param name="transformer">Whose model computes.</param>
    /// <param name="schema">Names the input column.</param>
    /// <param name="getter">Gives the current row's image, of the input column's raw type.</param>
    /// <param name="outputs">The embeddings that are wanted.</param>
    public ImageBatch(SiglipImageFeaturizingTransformer transformer, FeaturizedSchema schema, Delegate getter, SiglipEmbeddingOutputs outputs)
    {
        _transformer = transformer;
        _images = transformer.Embedder.CreateBatch();
        _outputs = outputs;
        (_column, _valueName) = (schema.Source.Name, schema.ValueName);
        _source = ImageSource.Create(getter, schema.SourceKind, transformer.Settings.ImageFolder, transformer.Embedder.Reading);
    }

    /// <summary>Takes over the current row's image. If its getter fails, then that is an error of this row's embedding.</summary>
    /// <param name="slot">The row's place in the batch, 0 for the first row of a new one.</param>
    /// <param name="row">The row's number in the data, for messages.</param>
    public void Read(int slot, long row)
    {
        if (slot == 0)
        {
            _cache = _transformer.FindCache();
            _placesUsed = 0;
            _slotOf.Clear();
            _decoding = null;
        }

        Slots.Ensure(ref _rows, slot);
        Slots.Ensure(ref _faults, slot);
        Slots.Ensure(ref _names, slot);
        Slots.Ensure(ref _keys, slot);
        Slots.Ensure(ref _known, slot);
        Slots.Ensure(ref _owners, slot);
        Slots.Ensure(ref _places, slot);
        (_rows[slot], _faults[slot], _names[slot], _known[slot]) = (row, null, null, null);
        try
        {
            _source.Read(slot);
        }
        catch (Exception exception) // thrown by the getters below, or made NaN
        {
            _faults[slot] = exception;
        }

        if (_source.CanDecodeLater)
            return;
        LookUp(slot);
        Place(slot);
        Preprocess(slot);
    }

    /// <summary>Whether images can be decoded before it is their turn to be computed. Not if there is a cache: then some of them may be in it.</summary>
    public bool CanBegin => _source.CanDecodeLater && _transformer.FindCache() is null;

    /// <summary>Begins to decode the images of the rows read, in the background.</summary>
    /// <param name="count">Number of rows.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public void Begin(int count, CancellationToken cancellationToken)
    {
        if (count == 0 || !_source.CanDecodeLater || _cache is not null)
            return;
        PlaceAll(count);
        _decoding = AwaitedLoop.Begin(count, Preprocess, cancellationToken);
    }

    /// <summary>Waits until no image is decoded any more, after the cancellation.</summary>
    public void Leave() => _decoding?.Leave();

    /// <summary>Computes the embeddings of the rows read: those that are not in the cache, in one forward pass.</summary>
    /// <param name="count">Number of rows.</param>
    /// <exception cref="ObjectDisposedException">The transformer is disposed.</exception>
    /// <exception cref="OperationCanceledException">The environment is canceled.</exception>
    public BatchCounts Compute(int count)
    {
        _embeddings = null;
        _transformer.CheckAlive();
        if (_decoding is not null)
        {
            _decoding.Finish();
        }
        else if (_source.CanDecodeLater)
        {
            if (_cache is not null) // no threads for nothing
                ForEach(count, LookUp);
            PlaceAll(count);
            ForEach(count, Preprocess);
        }

        int[] computed = [.. Enumerable.Range(0, count).Where(slot => _owners[slot] == slot && _places[slot] >= 0 && _faults[slot] is null)];
        if (_outputs != SiglipEmbeddingOutputs.None && computed.Length > 0)
        {
            // For the cache also the vectors that nobody asks for now: the pass that reads their column has none to compute then.
            SiglipEmbeddingOutputs outputs = _cache is null ? _outputs : _outputs | _transformer.Settings.VectorOutputs;
            _embeddings = _transformer.Embed(_images, _placesUsed, outputs);
            _cache?.Add([.. computed.Select(slot => (_keys[slot], CachedEmbedding.From(_embeddings, outputs, _places[slot])))]);
        }

        return Counts(count);
    }

    /// <summary>An embedding of a computed row.</summary>
    /// <returns>As many values as the image has; none if the image is bad, and bad images are missing values.</returns>
    /// <exception cref="FileNotFoundException">The row's file does not exist.</exception>
    /// <exception cref="InvalidDataException">The row holds no image, or a damaged one.</exception>
    /// <exception cref="Exception">What the input column's getter threw, if that says nothing of the image.</exception>
    public ReadOnlySpan<float> EmbeddingOf(int slot, SiglipEmbeddingOutputs output) =>
        !IsGood(slot) ? [] : _known[slot] is { } known ? known.Get(output) : _embeddings!.Get(output, _places[slot]);

    /// <summary>The patches of a computed row; null if the image is bad, and bad images are missing values.</summary>
    /// <inheritdoc cref="EmbeddingOf"/>
    public SiglipPatchGrid? GridOf(int slot) => !IsGood(slot) ? null
        : _known[slot] is { } known ? known.Grid : _images.Grids(_places[slot] + 1)[_places[slot]];

    // False if the image is bad, and bad images are missing values.
    private bool IsGood(int slot)
    {
        if (_faults[_owners[slot]] is not { } fault)
            return true;
        if (!IsOfImage(fault))
            ExceptionDispatchInfo.Throw(fault);
        if (_transformer.Settings.BadImages == BadImageHandling.Missing)
            return false;
        string message = $"{Describe(slot, fault)} With BadImages set to {nameof(BadImageHandling)}.{nameof(BadImageHandling.Missing)} its {_valueName} is NaN instead.";
        throw fault is FileNotFoundException missing
            ? new FileNotFoundException(message, missing.FileName, fault)
            : new InvalidDataException(message, fault);
    }

    private string Describe(int slot, Exception fault)
    {
        string reason = Sentences.Of(fault);
        int owner = _owners[slot];
        string name = _names[owner] is { } known && !reason.Contains(known, StringComparison.Ordinal) ? $"'{known}': " : "";
        string same = owner == slot ? "" : $"{(_names[slot] is { } own ? $"'{own}' is " : "")}the same image as in row {_rows[owner]}: ";
        return $"Row {_rows[slot]}, column '{_column}': {same}{name}{reason}";
    }

    private BatchCounts Counts(int count)
    {
        int bad = 0, found = 0;
        string? firstBad = null;
        for (int slot = 0; slot < count; slot++)
        {
            if (_faults[_owners[slot]] is { } fault)
            {
                if (!IsOfImage(fault))
                    continue;
                bad++;
                firstBad ??= Describe(slot, fault);
            }
            else if (_owners[slot] != slot || _places[slot] < 0)
            {
                found++;
            }
        }

        return new BatchCounts(count, _embeddings is null ? 0 : 1, _embeddings?.Count ?? 0, found, bad, firstBad);
    }

    private static void ForEach(int count, Action<int> body)
    {
        if (count == 1)
            body(0);
        else
            ParallelLoop.For(count, body);
    }

    /// <summary>Whether a failure to read or decode says that the image is bad, rather than that something else is wrong.</summary>
    public static bool IsOfImage(Exception exception) => exception is IOException or InvalidDataException or UnauthorizedAccessException
        or ArgumentException or NotSupportedException;

    private void LookUp(int slot)
    {
        if (_cache is { } cache)
            Try(slot, () => _known[slot] = cache.Find(_keys[slot] = _source.KeyOf(slot, cache.Space), _outputs));
    }

    private void PlaceAll(int count)
    {
        for (int slot = 0; slot < count; slot++)
            Place(slot);
    }

    /// <summary>Gives the slot's image a place in the forward pass, unless it is known, or has one already. One slot after the other.</summary>
    private void Place(int slot)
    {
        (_owners[slot], _places[slot]) = (slot, -1);
        if (_cache is not null && _faults[slot] is null)
        {
            if (_known[slot] is null && !_slotOf.TryAdd(_keys[slot], slot))
                (_owners[slot], _places[slot]) = (_slotOf[_keys[slot]], _places[_slotOf[_keys[slot]]]);
            if (_known[slot] is not null || _owners[slot] != slot)
            {
                _names[slot] = _source.NameOf(slot); // it may turn out to be bad
                _source.Forget(slot);
                return;
            }
        }

        _places[slot] = _placesUsed++;
        _images.Ensure(_places[slot]);
        if (_faults[slot] is not null)
            _images.Clear(_places[slot]);
    }

    private void Preprocess(int slot)
    {
        if (_owners[slot] != slot || _places[slot] < 0)
            return;
        Try(slot, () =>
        {
            using PixelRows rows = _source.Open(slot);
            _images.Preprocess(_places[slot], rows);
        });
        if (_faults[slot] is not null)
            _images.Clear(_places[slot]);
    }

    // What fails because of the image is an error of the slot's row.
    private void Try(int slot, Action action)
    {
        if (_faults[slot] is not null)
            return;
        try
        {
            action();
        }
        catch (Exception exception) when (IsOfImage(exception))
        {
            (_names[slot], _faults[slot]) = (_source.NameOf(slot), exception);
        }
    }
}
