using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>One use of a model in evaluation mode. Models loaded from equal weights are one model in memory, which is freed when the last of its users
/// disposes its use, or when the garbage collector finds that all of them were forgotten.</summary>
internal sealed class ModelUse : IDisposable
{
    private static readonly Lock Loading = new(); // one model at a time: each takes all cores, and who wants the same waits for it
    private static readonly Lock Gate = new(); // guards the one below, and every model's number of users
    private static readonly Dictionary<Identity, WeakReference<Loaded>> Models = [];

    private readonly Loaded _loaded;
    private bool _disposed;

    private ModelUse(Loaded loaded) => _loaded = loaded;

    /// <summary>Never changed: others may be computing with it.</summary>
    public nn.Module Model => _loaded.Model;

    /// <summary>What <see cref="SiglipCheckpoint.ComputeModelSha256"/> says of the model; null if it was not loaded here.</summary>
    public string? ModelSha256 => _loaded.Identity?.Sha256;

    /// <summary>Whether the model was in use already when this use of it began.</summary>
    public bool IsShared { get; private init; }

    /// <summary>Takes over a model that nobody else has; disposing the use disposes it.</summary>
    /// <param name="model">The model; if this fails it is still the caller's.</param>
    /// <param name="precision">The type to which its parameters are converted; null leaves them.</param>
    /// <param name="device">Where they are moved.</param>
    /// <remarks>In Int8 its weights are packed; otherwise whoever made it may still use it in other ways.</remarks>
    public static ModelUse Own(nn.Module model, SiglipPrecision? precision, Device device)
    {
        precision?.CheckDevice(device);
        if (precision is { } wanted)
            model.to(wanted.OfModules().ToDtype());
        model.to(device);
        model.eval();
        if (precision == SiglipPrecision.Int8)
            SiglipEncoder.Of(model).PackFor(SiglipPrecision.Int8);
        return new ModelUse(new Loaded(model, null) { Users = 1 });
    }

    /// <summary>Loads a model, unless the same is in use already.</summary>
    /// <param name="checkpoint">The weights; they are read to find out, in any case.</param>
    /// <param name="precision">The type of the parameters.</param>
    /// <param name="device">Where they are.</param>
    public static ModelUse Share(SiglipCheckpoint checkpoint, SiglipPrecision precision, Device device)
    {
        precision.CheckDevice(device);
        var kind = new Kind(checkpoint.Config, precision, device.ToString());
        lock (Loading)
        {
            // Where one of the kind is in use, it may be the same: then a second one is not even to be in memory.
            if (IsInUse(kind) && Enter(new Identity(checkpoint.ComputeModelSha256(), kind)) is { } use)
                return use;
            (nn.Module model, string sha256) = checkpoint.LoadForInference(precision, device);
            return Add(new Loaded(model, new Identity(sha256, kind)));
        }
    }

    /// <summary>The model's weights, to be written one by one; in Int8 those that are computed with, as float32.</summary>
    /// <param name="dtype">The type in which they are written.</param>
    public IReadOnlyList<SafetensorsPart> ToParts(ScalarType dtype)
    {
        SiglipEncoder encoder = SiglipEncoder.Of(Model);
        SiglipVisionConfigBase config = Model is SiglipVisionModel model ? model.Config : ((Siglip2VisionModel)Model).Config;
        Dictionary<string, Tensor> unpacked = Model.state_dict();
        return [.. ExpectedTensors.OfVisionModel(config).Select(tensor => (Name: ExpectedTensors.Prefix + tensor.Name, tensor.Shape)).Select(tensor =>
            unpacked.TryGetValue(tensor.Name, out Tensor? value)
                ? SafetensorsFile.ToPart(tensor.Name, value, dtype)
                : new SafetensorsPart(tensor.Name, dtype, tensor.Shape, stream =>
                {
                    using Tensor weight = encoder.Unpack(tensor.Name[ExpectedTensors.EncoderPrefix.Length..]);
                    SafetensorsFile.ToPart(tensor.Name, weight, dtype).WriteBytes(stream);
                }))];
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

        _loaded.Model.Dispose();
    }

    private static bool IsInUse(Kind kind)
    {
        lock (Gate)
        {
            foreach ((Identity forgotten, _) in Models.Where(model => !model.Value.TryGetTarget(out _)).ToArray())
                Models.Remove(forgotten);
            return Models.Keys.Any(identity => identity.Kind == kind);
        }
    }

    // Null if the model is not in use.
    private static ModelUse? Enter(Identity identity)
    {
        lock (Gate)
        {
            if (!Models.TryGetValue(identity, out WeakReference<Loaded>? known) || !known.TryGetTarget(out Loaded? loaded))
                return null;
            loaded.Users++;
            return new ModelUse(loaded) { IsShared = true };
        }
    }

    private static ModelUse Add(Loaded loaded)
    {
        lock (Gate)
        {
            loaded.Users++;
            Models[loaded.Identity!] = new WeakReference<Loaded>(loaded);
            return new ModelUse(loaded);
        }
    }

    /// <summary>What is known of a model before its weights are read.</summary>
    private sealed record Kind(SiglipVisionConfigBase Config, SiglipPrecision Precision, string Device);

    /// <summary>Two models with the same identity compute the same.</summary>
    private sealed record Identity(string Sha256, Kind Kind);

    private sealed class Loaded(nn.Module model, Identity? identity)
    {
        public nn.Module Model { get; } = model;

        public Identity? Identity { get; } = identity;

        public int Users { get; set; }
    }
}
