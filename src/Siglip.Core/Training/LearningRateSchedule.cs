using System.Globalization;

namespace Siglip.Core;

/// <summary>The learning rate of each step: a linear rise to the highest, then a cosine down to the lowest.</summary>
internal sealed class LearningRateSchedule
{
    private readonly SiglipTrainingOptions _options;
    private readonly int _steps;
    private readonly int _warmUp;

    /// <exception cref="ArgumentException">The warm-up is as long as the training.</exception>
    public LearningRateSchedule(SiglipTrainingOptions options, int stepsPerEpoch)
    {
        _options = options;
        _steps = checked(stepsPerEpoch * options.Epochs);
        _warmUp = options.WarmUpSteps ?? (int)(options.WarmUpEpochs * stepsPerEpoch ?? options.WarmUpShare * _steps);
        if (_warmUp > 0 && _warmUp >= _steps)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"The warm-up has {_warmUp:N0} steps, the whole training {_steps:N0}; choose a "
                + $"shorter warm-up or more epochs."));
    }

    /// <param name="step">Number of steps done before.</param>
    public double At(int step)
    {
        if (step < _warmUp)
            return _options.LearningRate * (step + 1) / _warmUp;
        double done = (double)(step - _warmUp) / Math.Max(1, _steps - _warmUp);
        return _options.MinLearningRate + ((_options.LearningRate - _options.MinLearningRate) * 0.5 * (1 + Math.Cos(Math.PI * done)));
    }
}
