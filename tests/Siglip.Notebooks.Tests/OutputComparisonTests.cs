namespace Siglip.Notebooks.Tests;

/// <summary>What counts as a difference from a stored output.</summary>
[TestClass]
public sealed class OutputComparisonTests
{
    private const string OnePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC";

    [TestMethod]
    [DataRow("accuracy 0.81", "accuracy 0.84")]
    [DataRow("loss 40.1", "loss 41.9")]
    [DataRow("12 images/s in 1.25 s", "140 images/s in 0.31 s")]
    public void Numbers_that_are_nearly_equal_are_no_difference_and_times_never(string stored, string actual) =>
        Assert.IsNull(OutputComparison.Difference(stored, actual));

    [TestMethod]
    [DataRow("accuracy 0.81", "accuracy 0.71")]
    [DataRow("accuracy 0.81", "accuracy 0.8")]
    [DataRow("20 photos", "21 photos")]
    [DataRow("ship 0.81", "boat 0.81")]
    [DataRow("accuracy 0.81", "accuracy 0.81, log-loss 0.70")]
    [DataRow("<b>1</b>", "<i>1</i>")]
    [DataRow("in 1.25 s", "in 1 s")]
    public void Other_text_and_other_numbers_are(string stored, string actual) =>
        Assert.IsNotNull(OutputComparison.Difference(stored, actual));

    [TestMethod]
    public void A_picture_may_have_other_pixels_but_no_other_size_or_type()
    {
        string other = Convert.ToBase64String(File.ReadAllBytes(Path.Combine(RepositoryFolder.Path, "samples/cifar10/ship/45017.png")));
        string another = Convert.ToBase64String(File.ReadAllBytes(Path.Combine(RepositoryFolder.Path, "samples/cifar10/ship/45024.png")));

        Assert.IsNull(OutputComparison.Difference($"data:image/png;base64,{other}", $"data:image/png;base64,{another}"));
        Assert.IsNotNull(OutputComparison.Difference($"data:image/png;base64,{other}", $"data:image/png;base64,{OnePixel}"));
        Assert.IsNotNull(OutputComparison.Difference($"data:image/png;base64,{other}", $"data:image/jpeg;base64,{other}"));
    }

    [TestMethod]
    public void Another_number_or_type_of_outputs_is_a_difference()
    {
        NotebookOutput text = new(null, "1"), html = new("text/html", "1");

        Assert.IsNull(OutputComparison.Difference([text, html], [text, html]));
        Assert.IsNotNull(OutputComparison.Difference([text, html], [text]));
        Assert.IsNotNull(OutputComparison.Difference([text], [html]));
    }
}
