using System.Globalization;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>One step of the training after the other: the gradients of one batch or several, their norm cut, the optimizer, the moving average.</summary>
/// <remarks>A step is <see cref="Begin"/>, <see cref="Accumulate"/> for each batch, <see cref="Finish"/>.</remarks>
internal sealed class TrainingStep : IDisposable
{
    private readonly SiglipForImageClassification _model;
    private readonly SiglipTrainingOptions _options;
    private readonly Device _device;
    private readonly TrainedWeights _weights;
    private readonly TrainingOptimizer _optimizer;
    private double _learningRate;
    private double _patchDropout;
    private int _firstCount;
    private int _images;
    private double _lossSum;

    /// <summary>Prepares a model as <see cref="Prepare"/> does. Until <see cref="Show"/> it is as the training needs it.</summary>
    /// <inheritdoc cref="Prepare"/>
    public TrainingStep(SiglipForImageClassification model, SiglipTrainingOptions options, Device device)
    {
        Prepare(model, options, device);
        (_model, _options, _device) = (model, options, device);
        _weights = new TrainedWeights(model, options);
        _optimizer = new TrainingOptimizer(_weights.All, model.Config.NumHiddenLayers, options);
        Average = options.EmaDecay > 0 ? new WeightAverage(_weights.All, options.EmaDecay) : null;
        Best = options.EarlyStoppingPatience is null ? null : new BestWeights(_weights.All);
    }

    /// <summary>Checks that a model can be trained so.</summary>
    /// <param name="config">The model's sizes.</param>
    /// <param name="options">Checked by themselves.</param>
    /// <exception cref="ArgumentException">The loss is of the pooled embedding, but the model has no pooling head; it has fewer layers than are to be
    /// trained; or low-rank additions would not be low.</exception>
    public static void CheckFit(SiglipVisionConfig config, SiglipTrainingOptions options)
    {
        if (options.ClassifierInput == SiglipClassifierInput.Pooled && !config.VisionUseHead)
            throw new ArgumentException("The classifier is to be trained on the pooled embedding, but the model has no pooling head; choose the mean.");
        if (options.TrainedLayers > config.NumHiddenLayers)
            throw new ArgumentException($"The last {options.TrainedLayers} layers are to be trained, but the model has {config.NumHiddenLayers}; lower TrainedLayers, or "
                + "leave it out to train everything.");
        if (options.Lora?.Rank > config.HiddenSize)
            throw new ArgumentException($"The rank of the additions is {options.Lora.Rank}, but the model's matrices have a rank of at most {config.HiddenSize}; lower it.");
    }

    /// <summary>Moves a model's parameters to the device and to float32.</summary>
    /// <exception cref="ArgumentException">The model does not fit the options, see <see cref="CheckFit"/>.</exception>
    public static void Prepare(SiglipForImageClassification model, SiglipTrainingOptions options, Device device)
    {
        CheckFit(model.Config, options);
        foreach (Parameter parameter in model.parameters())
            parameter.grad = null; // moving a model leaves a tensor behind for each gradient
        model.to(ScalarType.Float32); // weights of 16 bits would swallow small steps
        model.to(device);
    }

    /// <summary>Number of steps done.</summary>
    public int Done { get; private set; }

    /// <summary>The moving average of the weights; null for none.</summary>
    public WeightAverage? Average { get; }

    /// <summary>The weights of the best epoch; null if they are not asked for.</summary>
    public BestWeights? Best { get; }

    /// <summary>Number of the step's images, up to now, whose class the classifier told.</summary>
    public int Right { get; private set; }

    /// <summary>The step after which <see cref="SiglipTrainingOptions.StatePath"/> was written; null if it was not.</summary>
    public int? Saved { get; set; }

    /// <summary>SHA-256 of the weights that are not trained, and so not in <see cref="State"/>; null if there are none.</summary>
    public string? ComputeFrozenSha256() => _weights.ComputeFrozenSha256();

    /// <summary>All that later steps depend on, but for weights that are not trained. Parameters' own tensors, except numbers of steps, which belong to the open scope.</summary>
    public IEnumerable<(string Name, Tensor Value)> State() =>
    [
        .. _weights.All.Select(entry => ("model." + entry.Name, (Tensor)entry.Parameter)),
        .. Average?.All.Select(entry => ("average." + entry.Name, entry.Average)) ?? [],
        .. Best?.All.Select(entry => ("best." + entry.Name, entry.Best)) ?? [],
        .. _optimizer.State(),
    ];

    /// <summary>Takes over what <see cref="State"/> of another process was.</summary>
    /// <param name="file">Nothing is changed unless it has the tensors of <see cref="State"/>, and finite values.</param>
    /// <param name="done">Number of steps that were done.</param>
    /// <exception cref="InvalidDataException">A tensor is missing, not expected, of another shape or type, or not finite.</exception>
    public void Restore(SafetensorsFile file, int done)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGradients = no_grad();
        _optimizer.Prepare(file.Tensors.ContainsKey);
        (string Name, Tensor Value)[] state = [.. State()];
        StateFaults.Check(file, state, done);
        foreach ((string name, Tensor value) in state)
        {
            using Tensor stored = file.Read(name);
            value.copy_(stored);
        }

        _optimizer.RestoreSteps(name => file.Read(name).item<long>());
        Done = done;
        Saved = done;
    }

    /// <param name="learningRate">Of this step.</param>
    /// <param name="patchDropout">Share of each image's patches that it leaves out.</param>
    public void Begin(double learningRate, double patchDropout = 0)
    {
        (_patchDropout, _learningRate, _firstCount, _images, _lossSum) = (patchDropout, learningRate, 0, 0, 0);
        Right = 0;
        _model.train();
        ClearGradients();
        if (_model.Config.AttentionDropout > 0 || patchDropout > 0 || _options.Lora?.Dropout > 0)
            manual_seed(StableSeed.Of(_options.Seed, Done)); // so that a step drops the same, whatever came before
    }

    /// <summary>Adds the gradients of a batch.</summary>
    /// <returns>The batch's mean loss.</returns>
    /// <exception cref="InvalidOperationException">The loss is not finite; the model stays as it was.</exception>
    public double Accumulate(TrainingBatch batch)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor loss, Tensor right) = Loss(batch.Inputs.to(_device), batch.Targets.to(_device));
        double[] numbers = stack([loss.detach().to(float64), right.to(float64)]).cpu().data<double>().ToArray(); // at once: each is a wait for a GPU
        double value = numbers[0];
        CheckFinite("loss", value);
        if (_images == 0)
            _firstCount = batch.Count;
        if (batch.Count != _firstCount)
            loss = loss * ((double)batch.Count / _firstCount); // each image counts the same
        loss.backward();
        _images += batch.Count;
        _lossSum += value * batch.Count;
        Right += (int)numbers[1];
        return value;
    }

    /// <summary>Changes the weights.</summary>
    /// <returns>The mean loss over the images of the step, before it.</returns>
    /// <exception cref="InvalidOperationException">The gradients are not finite; the model stays as it was.</exception>
    public double Finish()
    {
        using DisposeScope scope = NewDisposeScope();
        Parameter[] parameters = [.. _optimizer.WithGradient];
        if (_images != _firstCount)
        {
            foreach (Parameter parameter in parameters)
                parameter.grad!.mul_((double)_firstCount / _images); // of a sum over batches to the mean over images
        }

        CheckFinite("norm of the gradients", nn.utils.clip_grad_norm_(parameters, _options.MaxGradientNorm));
        _optimizer.Step(_learningRate);
        Done++;
        Average?.Add(Done);
        return _lossSum / _images;
    }

    /// <summary>The logits that the loss is of, in training and in evaluation mode alike.</summary>
    /// <param name="inputs">Those of a <see cref="TrainingBatch"/>, on the model's device.</param>
    /// <param name="patchDropout">Share of each image's patches that is left out.</param>
    /// <returns>[batch, labels] each: one or two.</returns>
    public Tensor[] Logits(Tensor inputs, double patchDropout = 0)
    {
        Tensor[] embeddings = inputs.dim() == 3
            ? inputs.unbind(1)
            : Embeddings(_model, inputs, _options.ClassifierInput, new SiglipForwardOptions { PatchDropout = patchDropout });
        return [.. embeddings.Select(_model.Classify)];
    }

    /// <summary>The embeddings of images that the classifier gets.</summary>
    /// <param name="model">The model.</param>
    /// <param name="pixelValues">[batch, 3, height, width], on its device.</param>
    /// <param name="input">Which.</param>
    /// <param name="options">Which patches are left out.</param>
    /// <returns>[batch, hidden] each: the mean, the pooled one, or both in this order; the mean if the model has no pooling head.</returns>
    public static Tensor[] Embeddings(SiglipForImageClassification model, Tensor pixelValues, SiglipClassifierInput input, SiglipForwardOptions options)
    {
        if (input == SiglipClassifierInput.Mean)
            return [model.EmbedMean(pixelValues, options)];
        (Tensor mean, Tensor? pooled) = model.EmbedBoth(pixelValues, options);
        return pooled is null ? [mean] : input == SiglipClassifierInput.Pooled ? [pooled] : [mean, pooled];
    }

    /// <summary>Gives the model the weights that are to be measured, saved and kept: plain ones, averaged if they are.</summary>
    public void Show()
    {
        Average?.Swap();
        _weights.Show();
    }

    /// <summary>Gives the model, after <see cref="Show"/>, the weights of the best epoch, if they are asked for and there is one.</summary>
    public void ShowBest()
    {
        if (Best is null)
            return;
        _weights.Hide();
        Best.ToParameters();
        _weights.Show();
    }

    /// <summary>Undoes <see cref="Show"/>, to the bit, so that the training can go on.</summary>
    public void Hide()
    {
        _weights.Hide();
        Average?.Swap();
    }

    public void Dispose()
    {
        ClearGradients();
        _optimizer.Dispose();
        Average?.Dispose();
        Best?.Dispose();
        _weights.Dispose();
    }

    // Takes them away instead of filling them with zeros, as PyTorch does: what gets none in a step is not changed by it.
    private void ClearGradients()
    {
        foreach ((_, Parameter parameter) in _weights.All)
            parameter.grad = null;
    }

    // The mean loss, and the number of images whose class the classifier told: by the first logits, as it is measured.
    private (Tensor Loss, Tensor Right) Loss(Tensor inputs, Tensor targets)
    {
        Tensor[] logits;
        using (_options.Precision == SiglipPrecision.BFloat16 ? Autocast.BFloat16(_device) : null)
            logits = [.. Logits(inputs, _patchDropout).Select(each => each.to(float32))];
        Tensor[] losses = [.. logits.Select(each => nn.functional.cross_entropy(each, targets, label_smoothing: _options.LabelSmoothing))];
        Tensor loss = losses.Length == 1 ? losses[0] : (losses[0] + losses[1]) / 2;
        return (loss, logits[0].detach().argmax(1).eq(targets.argmax(1)).sum());
    }

    private void CheckFinite(string name, double value)
    {
        if (double.IsFinite(value))
            return;
        string kept = Done == 0 ? "The model is as it was before the training." : $"The model is as step {Done} left it.";
        if (Saved is { } saved)
            kept += $" '{_options.StatePath}' holds the state of step {saved}, for the same options.";
        throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"The {name} of step {Done + 1} is {value}, at the learning rate "
            + $"{_learningRate:G4}: the training diverged. Try a lower learning rate than {_options.LearningRate}, a longer warm-up or a lower "
            + $"MaxGradientNorm than {_options.MaxGradientNorm}; if it happens in the first step, look for start weights that are not finite. {kept}"));
    }
}
