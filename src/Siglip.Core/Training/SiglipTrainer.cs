using System.Diagnostics;
using System.Globalization;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Siglip.Core;

/// <summary>Trains an image classifier: cross-entropy and AdamW, with a warm-up and a cosine decay of the learning rate.</summary>
public sealed class SiglipTrainer : IDisposable
{
    private readonly SiglipForImageClassification _model;
    private readonly SiglipImageProcessor _processor;
    private readonly SiglipTrainingOptions _options;
    private readonly Device _device;
    private readonly AdamW _optimizer;

    /// <summary>Prepares the training of a model, which stays the caller's.</summary>
    /// <param name="model">The model; its parameters are moved to the device and to float32.</param>
    /// <param name="processorConfig">How images become pixel values.</param>
    /// <param name="options">How to train; null for the defaults.</param>
    /// <exception cref="ArgumentException">An option is out of range, the preprocessing does not give the model's image size, the model's images
    /// are not RGB, or the device does not exist.</exception>
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
        _model.to(ScalarType.Float32); // weights of 16 bits would swallow small steps
        _model.to(_device);
        _optimizer = optim.AdamW(ParameterGroups(), _options.LearningRate);
    }

    /// <summary>Trains over all epochs; afterwards, whatever happens, the model is in evaluation mode.</summary>
    /// <param name="training">The images to learn from; their labels are the model's.</param>
    /// <param name="validation">Images to measure with after each epoch; null for none.</param>
    /// <param name="progress">Is told of every step.</param>
    /// <param name="cancellationToken">Ends the training before the next step.</param>
    /// <exception cref="ArgumentException">The labels are not the model's, or the epochs or the batch are too large to be counted.</exception>
    /// <exception cref="InvalidDataException">A file is no image, or a damaged one.</exception>
    /// <exception cref="InvalidOperationException">The training diverged: the loss or the gradients are not finite; the model is as the last step
    /// left it.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled; the model is as the last step left it.</exception>
    public void Train(
        ImageFolderDataset training, ImageFolderDataset? validation = null, IProgress<SiglipTrainingProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        TrainingImages images = Read(training);
        TrainingImages? validationImages = validation is null ? null : Read(validation);
        try
        {
            Train(images, validationImages, progress, cancellationToken);
        }
        finally
        {
            _model.eval();
        }
    }

    /// <summary>Measures the model's classifier; afterwards the model is in evaluation mode.</summary>
    /// <param name="dataset">Images whose labels are the model's.</param>
    /// <param name="cancellationToken">Ends it before the next batch.</param>
    /// <exception cref="ArgumentException">The labels are not the model's.</exception>
    /// <exception cref="InvalidDataException">A file is no image, or a damaged one.</exception>
    public SiglipEvaluation Evaluate(ImageFolderDataset dataset, CancellationToken cancellationToken = default) =>
        Evaluate(Read(dataset), cancellationToken);

    /// <summary>Frees the optimizer's state; the model stays.</summary>
    public void Dispose() => _optimizer.Dispose();

    /// <summary>One step of the optimizer.</summary>
    /// <param name="pixelValues">[batch, channels, height, width].</param>
    /// <param name="labels">[batch], 64-bit class indices.</param>
    /// <param name="learningRate">For this step.</param>
    /// <returns>The loss before the step.</returns>
    /// <exception cref="InvalidOperationException">The loss or the gradients are not finite; the model stays as it was.</exception>
    internal double Step(Tensor pixelValues, Tensor labels, double learningRate)
    {
        using DisposeScope scope = NewDisposeScope();
        _model.train();
        _optimizer.zero_grad();
        Tensor loss = Loss(pixelValues, labels);
        double value = loss.to(float64).item<double>();
        CheckFinite("loss", value);
        loss.backward();
        double norm = nn.utils.clip_grad_norm_(_model.parameters().Where(parameter => parameter.grad is not null), _options.MaxGradientNorm);
        CheckFinite("norm of the gradients", norm);
        foreach (var group in _optimizer.ParamGroups)
            group.LearningRate = learningRate;
        _optimizer.step();
        return value;
    }

    private void Train(
        TrainingImages images, TrainingImages? validationImages, IProgress<SiglipTrainingProgress>? progress, CancellationToken cancellationToken)
    {
        var random = new Random(_options.Seed);
        int[] order = [.. Enumerable.Range(0, images.Count)];
        int steps = CountSteps(images), step = 0;
        long seen = 0;
        TimeSpan trained = TimeSpan.Zero;

        for (int epoch = 1; epoch <= _options.Epochs; epoch++)
        {
            random.Shuffle(order);
            double lossSum = 0;
            int lossCount = 0;
            foreach (int[] batch in order.Chunk(_options.BatchSize))
            {
                cancellationToken.ThrowIfCancellationRequested();
                long start = Stopwatch.GetTimestamp();
                ImageShift[]? shifts = _options.Augment
                    ? [.. batch.Select(_ => ImageShift.Draw(random, _processor.Config.Height, _processor.Config.Width))]
                    : null;
                double learningRate = LearningRate(step, steps);
                double loss = Step(images, batch, shifts, learningRate);
                step++;
                seen += batch.Length;
                lossSum += loss * batch.Length;
                lossCount += batch.Length;
                trained += Stopwatch.GetElapsedTime(start);
                bool endOfEpoch = lossCount == order.Length;
                SiglipEvaluation? evaluation = endOfEpoch && validationImages is not null ? Evaluate(validationImages, cancellationToken) : null;
                progress?.Report(new SiglipTrainingProgress(
                    epoch, _options.Epochs, step, steps, lossSum / lossCount, learningRate, seen / trained.TotalSeconds,
                    trained / step * (steps - step), evaluation, endOfEpoch));
            }
        }
    }

    private double Step(TrainingImages images, int[] batch, ImageShift[]? shifts, double learningRate)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor pixelValues, Tensor labels) = Batch(images, batch, shifts);
        return Step(pixelValues, labels, learningRate);
    }

    private Tensor Loss(Tensor pixelValues, Tensor labels)
    {
        if (!_options.TrainPoolingHead)
            return nn.functional.cross_entropy(_model.call(pixelValues), labels, label_smoothing: _options.LabelSmoothing);

        (Tensor ofMean, Tensor? ofPooled) = _model.ForwardBoth(pixelValues); // [batch, labels] each
        Tensor loss = nn.functional.cross_entropy(ofMean, labels, label_smoothing: _options.LabelSmoothing);
        return ofPooled is null ? loss : (loss + nn.functional.cross_entropy(ofPooled, labels, label_smoothing: _options.LabelSmoothing)) / 2;
    }

    private SiglipEvaluation Evaluate(TrainingImages images, CancellationToken cancellationToken)
    {
        _model.eval();
        int[][] confusion = [.. _model.Labels.Select(_ => new int[_model.Labels.Count])];
        double lossSum = 0;
        foreach (int[] batch in Enumerable.Range(0, images.Count).Chunk(_options.BatchSize))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var noGradients = inference_mode();
            using DisposeScope scope = NewDisposeScope();
            (Tensor pixelValues, Tensor labels) = Batch(images, batch, shifts: null);
            Tensor logits = _model.call(pixelValues); // [batch, labels]
            lossSum += nn.functional.cross_entropy(logits, labels, reduction: nn.Reduction.Sum).item<float>();
            long[] predicted = logits.argmax(1).cpu().data<long>().ToArray();
            for (int i = 0; i < batch.Length; i++)
                confusion[images.Dataset.Images[batch[i]].Label][predicted[i]]++;
        }

        return new SiglipEvaluation(_model.Labels, confusion, lossSum / images.Count);
    }

    private (Tensor PixelValues, Tensor Labels) Batch(TrainingImages images, int[] batch, ImageShift[]? shifts)
    {
        float[] pixelValues = new float[batch.Length * _processor.PixelValueCount];
        long[] labels = new long[batch.Length];
        images.Fill(batch, shifts, pixelValues, labels);
        return (tensor(pixelValues, [batch.Length, 3, _processor.Config.Height, _processor.Config.Width]).to(_device), tensor(labels).to(_device));
    }

    private TrainingImages Read(ImageFolderDataset dataset)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        if (!dataset.Labels.SequenceEqual(_model.Labels))
            throw new ArgumentException($"The folder '{dataset.Folder}' has the classes {string.Join(", ", dataset.Labels)}, the model those of "
                + $"{string.Join(", ", _model.Labels)}; they must be the same.");
        return new TrainingImages(dataset, _processor);
    }

    private int CountSteps(TrainingImages images)
    {
        long batch = Math.Min(_options.BatchSize, images.Count), steps = (images.Count + batch - 1) / batch * _options.Epochs;
        if (batch * _processor.PixelValueCount > Array.MaxLength)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"A batch of {batch:N0} images is too large, expected at most "
                + $"{Array.MaxLength / _processor.PixelValueCount:N0}; choose a smaller batch size."));
        if (steps > int.MaxValue)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"{_options.Epochs:N0} epochs are {steps:N0} steps, expected at most "
                + $"{int.MaxValue:N0}; choose fewer epochs."));
        return (int)steps;
    }

    private void CheckFinite(string name, double value)
    {
        if (!double.IsFinite(value))
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"The {name} is {value}: the training diverged; choose a lower "
                + $"learning rate than {_options.LearningRate}. The model is as the last step left it."));
    }

    private double LearningRate(int step, int steps)
    {
        int warmUp = (int)(_options.WarmUpShare * steps);
        if (step < warmUp)
            return _options.LearningRate * (step + 1) / warmUp;
        double done = (double)(step - warmUp) / Math.Max(1, steps - warmUp);
        return _options.LearningRate * 0.5 * (1 + Math.Cos(Math.PI * done));
    }

    // Weight decay is for weight matrices and the probe: everything with two dimensions or more except the position embeddings.
    private AdamW.ParamGroup[] ParameterGroups()
    {
        (string name, Parameter parameter)[] all = [.. _model.named_parameters()];
        Parameter[] decayed = [.. all.Where(IsDecayed).Select(entry => entry.parameter)];
        Parameter[] others = [.. all.Where(entry => !IsDecayed(entry)).Select(entry => entry.parameter)];
        return
        [
            new AdamW.ParamGroup(decayed, _options.LearningRate, weight_decay: _options.WeightDecay),
            .. others.Length == 0 ? [] : (AdamW.ParamGroup[])[new AdamW.ParamGroup(others, _options.LearningRate, weight_decay: 0)],
        ];

        bool IsDecayed((string Name, Parameter Parameter) entry) =>
            _options.DecayAllParameters
            || (entry.Parameter.dim() >= 2 && !entry.Name.EndsWith("position_embedding.weight", StringComparison.Ordinal));
    }
}
