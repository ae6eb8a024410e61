namespace Pipeline;

internal sealed class Prediction
{
    public string PredictedLabel { get; set; } = "";
}
