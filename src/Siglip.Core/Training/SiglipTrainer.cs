using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Trains an image classifier: cross-entropy and AdamW or SGD, with a warm-up and a cosine decay of the learning rate.</summary>
public sealed class SiglipTrainer : IDisposable
{
    private readonly SiglipForImageClassification _model;
    private readonly SiglipImageProcessor _processor;
    private readonly SiglipTrainingOptions _options;
    private readonly Device _device;
    private TrainingStep? _step; // of the last training

    /// <summary>Prepares the training of a model, which stays the caller's.</summary>
    /// <param name="model">The model; its parameters are moved to the device and to float32.</param>
    /// <param name="processorConfig">How images become pixel values.</param>
    /// <param name="options">How to train; null for the defaults.</param>
    /// <exception cref="ArgumentException">An option is out of range, the preprocessing does not give the model's image size, the model's images
    /// are not RGB, it has no pooling head to train the classifier on, fewer layers than are to be trained, or the device does not exist.</exception>
    /// <exception cref="InvalidOperationException">The device is a GPU, but CUDA is not available.</exception>
    public SiglipTrainer(SiglipForImageClassification model, SiglipImageProcessorConfig processorConfig, SiglipTrainingOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(processorConfig);
        _options = options ?? new SiglipTrainingOptions();
        _options.Validate();
        SiglipImageProcessor.CheckFit(processorConfig, model.Config);
        _processor = new SiglipImageProcessor(processorConfig);
        _model = model;
        _device = TorchDevice.Find(_options.Device);
        TrainingStep.Prepare(model, _options, _device);
    }

    /// <summary>What was wrong with each image that the last training left out, a sentence each: with <see cref="SiglipTrainingOptions.SkipBadImages"/>.</summary>
    public IReadOnlyCollection<string> SkippedImages { get; private set; } = [];

    /// <summary>Trains over all epochs; afterwards, whatever happens, the model is in evaluation mode and, with
    /// <see cref="SiglipTrainingOptions.EmaDecay"/>, has the averaged weights, with <see cref="SiglipTrainingOptions.Lora"/> merged ones. A training that comes to
    /// its end with <see cref="SiglipTrainingOptions.EarlyStoppingPatience"/> leaves those of the best epoch.</summary>
    /// <param name="training">The images to learn from; their labels are the model's.</param>
    /// <param name="validation">Images to measure with after each epoch; null for none, which
    /// <see cref="SiglipTrainingOptions.EarlyStoppingPatience"/> does not allow.</param>
    /// <param name="progress">Is told of every step.</param>
    /// <param name="cancellationToken">Ends the training before the next step.</param>
    /// <exception cref="ArgumentException">The labels are not the model's, the epochs or the batch are too large to be counted, the warm-up is as
    /// long as the training, there are no validation images to stop early by, or <see cref="SiglipTrainingOptions.StatePath"/> is of another training.</exception>
    /// <exception cref="InvalidDataException">A file is no image, or a damaged one; or <see cref="SiglipTrainingOptions.StatePath"/> is damaged.</exception>
    /// <exception cref="IOException"><see cref="SiglipTrainingOptions.StatePath"/> cannot be written; a state that was there stays.</exception>
    /// <exception cref="InvalidOperationException">The training diverged: the loss or the gradients are not finite; the model is as the last step
    /// left it.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled; the model is as the last step left it.</exception>
    /// <remarks>Each call is a training of its own, with a new optimizer.</remarks>
    public void Train(
        ILabeledImages training, ILabeledImages? validation = null, IProgress<SiglipTrainingProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        CheckLabels(training);
        if (validation is not null)
            CheckLabels(validation);
        if (_options.TrainedLayers == 0)
        {
            using EmbeddedImages embedded = ToEmbed(training, toLearnFrom: true);
            using EmbeddedImages? embeddedValidation = validation is null ? null : ToEmbed(validation, toLearnFrom: false);
            Train(embedded, embeddedValidation, progress, cancellationToken);
        }
        else
        {
            Train(TrainingSource.ToLearnFrom(training, _processor, _options), validation is null ? null : ToMeasureWith(validation), progress, cancellationToken);
        }
    }

    /// <summary>Measures the model's classifier; afterwards the model is in evaluation mode.</summary>
    /// <param name="dataset">Images whose labels are the model's.</param>
    /// <param name="cancellationToken">Ends it before the next batch.</param>
    /// <exception cref="ArgumentException">The labels are not the model's.</exception>
    /// <exception cref="InvalidDataException">A file is no image, or a damaged one.</exception>
    public SiglipEvaluation Evaluate(ILabeledImages dataset, CancellationToken cancellationToken = default)
    {
        CheckLabels(dataset);
        return Evaluate(ToMeasureWith(dataset), cancellationToken);
    }

    /// <summary>Frees the optimizer's state; the model stays.</summary>
    public void Dispose() => _step?.Dispose();

    internal void Train(
        ITrainingSource training, ITrainingSource? validation, IProgress<SiglipTrainingProgress>? progress, CancellationToken cancellationToken)
    {
        if (_options.EarlyStoppingPatience is not null && validation is null)
            throw new ArgumentException("EarlyStoppingPatience is set, but there are no validation images whose loss it could watch; give the training some, or set "
                + "it to null.", nameof(validation));
        int stepsPerEpoch = CountSteps(training.Count);
        _step?.Dispose();
        TrainingStep step = _step = new TrainingStep(_model, _options, _device);
        try
        {
            var run = new TrainingRun(
                _model, step, _options, stepsPerEpoch, training, validation, source => Evaluate(source, cancellationToken), progress);
            run.Run(cancellationToken);
        }
        finally
        {
            SkippedImages = [.. training.SkippedImages, .. validation?.SkippedImages ?? []];
            step.Show(); // what the caller gets
            _model.eval();
        }

        step.ShowBest();
    }

    private SiglipEvaluation Evaluate(ITrainingSource source, CancellationToken cancellationToken)
    {
        _model.eval();
        int[][] confusion = [.. _model.Labels.Select(_ => new int[_model.Labels.Count])];
        double lossSum = 0;
        SiglipClassifierInput measured = _options.ClassifierInput == SiglipClassifierInput.Pooled ? SiglipClassifierInput.Pooled : SiglipClassifierInput.Mean;
        int count = 0; // not the source's, which may leave bad images out
        foreach (TrainingBatch batch in source.Batches(1, 0, cancellationToken))
        {
            using TrainingBatch owned = batch;
            using var noGradients = inference_mode();
            using DisposeScope scope = NewDisposeScope();
            Tensor targets = batch.Targets.to(_device); // [batch, labels]
            Tensor inputs = batch.Inputs.to(_device);
            Tensor embedding = inputs.dim() == 3 ? inputs.select(1, 0) : TrainingStep.Embeddings(_model, inputs, measured, new SiglipForwardOptions())[0];
            Tensor logits = _model.Classify(embedding); // [batch, labels]
            lossSum += nn.functional.cross_entropy(logits, targets, reduction: nn.Reduction.Sum).item<float>();
            long[] actual = targets.argmax(1).cpu().data<long>().ToArray(), predicted = logits.argmax(1).cpu().data<long>().ToArray();
            for (int i = 0; i < actual.Length; i++)
                confusion[actual[i]][predicted[i]]++;
            count += actual.Length;
        }

        return new SiglipEvaluation(_model.Labels, confusion, lossSum / count);
    }

    private TrainingSource ToMeasureWith(ILabeledImages dataset) => TrainingSource.ToMeasureWith(dataset, _processor, _options);

    private EmbeddedImages ToEmbed(ILabeledImages dataset, bool toLearnFrom) =>
        new(TrainingSource.ToEmbed(dataset, _processor, _options, leaveOutBadImages: !toLearnFrom), Embed, _options, shuffle: toLearnFrom);

    // [batch, embeddings, hidden]
    private Tensor Embed(Tensor pixelValues)
    {
        _model.eval();
        using DisposeScope scope = NewDisposeScope();
        Tensor[] embeddings = TrainingStep.Embeddings(_model, pixelValues.to(_device), _options.ClassifierInput, new SiglipForwardOptions());
        return stack(embeddings, 1).cpu().MoveToOuterDisposeScope();
    }

    private void CheckLabels(ILabeledImages dataset)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        if (!dataset.Labels.SequenceEqual(_model.Labels))
            throw new ArgumentException($"The images have the classes {string.Join(", ", dataset.Labels)}, the model those of {string.Join(", ", _model.Labels)}; they must "
                + "be the same.");
    }

    // Of an epoch.
    private int CountSteps(int images)
    {
        long batches = (images + (long)_options.BatchSize - 1) / _options.BatchSize;
        long perEpoch = (batches + _options.GradientAccumulation - 1) / _options.GradientAccumulation, steps = perEpoch * _options.Epochs;
        if (steps > int.MaxValue)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"{_options.Epochs:N0} epochs are {steps:N0} steps, expected at most "
                + $"{int.MaxValue:N0}; choose fewer epochs."));
        return (int)perEpoch;
    }
}
