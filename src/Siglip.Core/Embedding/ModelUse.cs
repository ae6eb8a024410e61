using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>One use of a model in evaluation mode. Models loaded from equal weights are one model in memory, which is freed when the last of its users
/// disposes its use, or when the garbage collector finds that all of them were forgotten.</summary>
internal sealed class ModelUse : IDisposable
{
    private static readonly Lock Gate = new(); // guards the two below, and every model's number of users
    private static readonly Dictionary<Identity, WeakReference<Loaded>> Models = [];

    private readonly Loaded _loaded;
    private bool _disposed;

    private ModelUse(Loaded loaded) => _loaded = loaded;

    /// <summary>Never changed: others may be computing with it.</summary>
    public nn.Module Model => _loaded.Model!;

    /// <summary>What <see cref="SiglipCheckpoint.ComputeModelSha256"/> says of the model; null if it was not loaded here.</summary>
    public string? ModelSha256 => _loaded.Identity?.Sha256;

    /// <summary>Whether the model was in use already when this use of it began.</summary>
    public bool IsShared { get; private set; }

    /// <summary>Takes over a model that nobody else has; disposing the use disposes it.</summary>
    /// <param name="model">The model; if this fails it is still the caller's.</param>
    /// <param name="precision">The type to which its parameters are converted; null leaves them.</param>
    /// <param name="device">Where they are moved.</param>
    public static ModelUse Own(nn.Module model, SiglipPrecision? precision, Device device) =>
        new(new Loaded(null) { Model = Prepare(model, precision, device), Users = 1 });

    /// <summary>Loads a model, unless the same is in use already.</summary>
    /// <param name="checkpoint">The weights; they are read to find out, in any case.</param>
    /// <param name="precision">The type of the parameters.</param>
    /// <param name="device">Where they are.</param>
    public static ModelUse Share(SiglipCheckpoint checkpoint, SiglipPrecision precision, Device device)
    {
        var identity = new Identity(checkpoint.ComputeModelSha256(), precision, device.ToString());
        ModelUse use = Enter(identity);
        try
        {
            lock (use._loaded.Loading) // others that want the same wait for it
            {
                use.IsShared = use._loaded.Model is not null;
                use._loaded.Model ??= Load(checkpoint, precision, device);
            }

            return use;
        }
        catch
        {
            use.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        lock (Gate)
        {
            if (_disposed)
                return;
            _disposed = true;
            if (--_loaded.Users > 0)
                return;
            if (_loaded.Identity is { } identity && Models.TryGetValue(identity, out WeakReference<Loaded>? known)
                && known.TryGetTarget(out Loaded? current) && current == _loaded) // another one if this was forgotten, and a finalizer disposes it
                Models.Remove(identity);
        }

        _loaded.Model?.Dispose();
    }

    private static ModelUse Enter(Identity identity)
    {
        lock (Gate)
        {
            foreach ((Identity forgotten, _) in Models.Where(model => !model.Value.TryGetTarget(out _)).ToArray())
                Models.Remove(forgotten);
            if (!Models.TryGetValue(identity, out WeakReference<Loaded>? known) || !known.TryGetTarget(out Loaded? loaded))
            {
                loaded = new Loaded(identity);
                Models[identity] = new WeakReference<Loaded>(loaded);
            }

            loaded.Users++;
            return new ModelUse(loaded);
        }
    }

    private static nn.Module Load(SiglipCheckpoint checkpoint, SiglipPrecision precision, Device device)
    {
        nn.Module model = checkpoint.Config is Siglip2VisionConfig ? checkpoint.LoadSiglip2VisionModel(precision) : checkpoint.LoadVisionModel(precision);
        try
        {
            Prepare(model, precision, device);
            if (device.type == DeviceType.CPU && TorchOperators.AreAvailable && precision != SiglipPrecision.Float16)
                EncoderOf(model).Pack(precision == SiglipPrecision.Int8);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static nn.Module Prepare(nn.Module model, SiglipPrecision? precision, Device device)
    {
        if (precision is { } wanted)
            model.to(wanted.ToDtype());
        model.to(device);
        model.eval();
        return model;
    }

    private static SiglipEncoder EncoderOf(nn.Module model) =>
        model is SiglipVisionModel fixedResolution ? fixedResolution.Encoder : ((Siglip2VisionModel)model).Encoder;

    /// <summary>Two models with the same identity compute the same.</summary>
    private sealed record Identity(string Sha256, SiglipPrecision Precision, string Device);

    private sealed class Loaded(Identity? identity)
    {
        public Identity? Identity { get; } = identity;

        public Lock Loading { get; } = new();

        public nn.Module? Model { get; set; }

        public int Users { get; set; }
    }
}
