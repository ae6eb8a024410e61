using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Siglip.Core.Tests;

[TestClass]
public sealed partial class ReportTests : IDisposable
{
    private readonly SiglipExplainer _explainer = SiglipExplainer.FromPretrained("nano");

    public void Dispose() => _explainer.Dispose();

    private static string Photo => ReferenceModels.PathOf("preprocess", "images", "photo_420.jpg");

    [TestMethod]
    public void The_report_is_a_page_and_a_file_for_each_picture()
    {
        using var folder = new TemporaryFolder();
        IReadOnlyList<string> files = Explain().SaveReport(folder.File("report"), patch: (1, 6), label: "cat");

        CollectionAssert.AreEqual(
            (string[])
            [
                "report.html", "image.png", "patch-grid.png", "patch-sequence.png", "patch-filters.png", "patch-filter-components.png", "position-similarity.png", "attention-patch.png",
                "attention-probe-heads.png", "attention-probe.png", "attention-rollout-patch.png", "attention-rollout.png", "attention-distance.png", "embedding-components.png",
                "embedding-similarity.png", "relevance.png",
            ],
            files.Select(Path.GetFileName).ToArray());
        CollectionAssert.AreEquivalent(files.ToArray(), Directory.GetFiles(folder.File("report")));
        foreach (string file in files.Skip(1))
            Assert.IsGreaterThan(1, RgbImage.Load(file).Data.ToArray().Distinct().Count(), $"{file} has one colour");

        string page = File.ReadAllText(files[0]);
        Assert.HasCount(files.Count - 1, Picture().Matches(page));
        Assert.Contains("Where patch 1,6 looks", page);
        Assert.Contains("What speaks for cat", page);
        Assert.Contains("What the model sees in photo_420.jpg", page);
        Assert.DoesNotMatchRegex(@"(src|href)=""(?!data:image/png;base64,)", page);
        Assert.DoesNotContain("<script", page);
    }

    [TestMethod]
    public void The_report_of_the_same_image_is_the_same()
    {
        using var folder = new TemporaryFolder();
        string first = Explain().SaveReport(folder.File("first"))[0], second = Explain().SaveReport(folder.File("second"))[0];
        Assert.AreEqual(File.ReadAllText(first), File.ReadAllText(second));
    }

    [TestMethod]
    public void A_report_that_fails_leaves_the_old_one_as_it_was()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("report.html"), "old");
        SiglipExplanation explanation = Explain();

        Assert.ThrowsExactly<ArgumentException>(() => explanation.SaveReport(folder.Path, label: "dragon"));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => explanation.SaveReport(folder.Path, patch: (8, 0)));
        CollectionAssert.AreEqual((string[])[folder.File("report.html")], Directory.GetFiles(folder.Path));
        Assert.AreEqual("old", File.ReadAllText(folder.File("report.html")));
        Assert.ThrowsExactly<IOException>(() => explanation.SaveReport(folder.File("report.html")));
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux | OperatingSystems.OSX)] // Windows has no such names
    public void Names_and_labels_are_text_and_not_HTML()
    {
        const string Text = """<b>&"'""", Encoded = "&lt;b&gt;&amp;&quot;&#39;";
        using var folder = new TemporaryFolder();
        string image = folder.File($"{Text}.jpg"), from = ReferenceModels.Folder("image_classification"), model = Directory.CreateDirectory(folder.File("model")).FullName;
        File.Copy(Photo, image);
        foreach (string file in Directory.GetFiles(from))
            File.WriteAllBytes(Path.Combine(model, Path.GetFileName(file)), File.ReadAllBytes(file));
        JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(model, "config.json")))!;
        JsonObject labels = config["id2label"]!.AsObject();
        foreach (string id in labels.Select(pair => pair.Key).ToArray())
            labels[id] = $"{Text}{id}";
        config["label2id"] = new JsonObject(labels.Select(pair => KeyValuePair.Create((string)pair.Value!, (JsonNode?)int.Parse(pair.Key, CultureInfo.InvariantCulture))));
        File.WriteAllText(Path.Combine(model, "config.json"), config.ToJsonString());

        using var explainer = SiglipExplainer.FromPretrained(model);
        string page = File.ReadAllText(explainer.Explain(image).SaveReport(folder.File("report"), label: $"{Text}1")[0]);

        Assert.DoesNotContain(Text, page);
        Assert.Contains($"{Encoded}.jpg", page);
        foreach (string id in labels.Select(pair => pair.Key))
            Assert.Contains($"{Encoded}{id}", page);
        Assert.Contains($"What speaks for {Encoded}1", page);
    }

    [TestMethod]
    public void Models_without_classifier_or_head_and_with_variable_resolution_have_a_report()
    {
        using var folder = new TemporaryFolder();
        foreach (string model in (string[])[ReferenceModels.Folder("vision_only"), ReferenceModels.Folder("no_head"), ReferenceModels.Folder("odd_size"), ReferenceModels.PathOf("naflex")])
        {
            using var explainer = SiglipExplainer.FromPretrained(model);
            IReadOnlyList<string> files = explainer.Explain(Photo).SaveReport(folder.File(Path.GetFileName(model)));
            Assert.HasCount(model.EndsWith("no_head", StringComparison.Ordinal) ? 13 : 15, files, model);
            Assert.IsFalse(files.Any(file => file.EndsWith("relevance.png", StringComparison.Ordinal)), model);
        }
    }

    /// <summary>In a browser: every picture appears in its size, nothing is fetched, the page is no wider than a phone, and its text is light on dark and dark on light.</summary>
    [TestMethod]
    [DataRow(360)]
    [DataRow(1200)]
    public void The_page_is_shown_by_a_browser(int width)
    {
        using var folder = new TemporaryFolder();
        IReadOnlyList<string> files = Explain().SaveReport(folder.File("report"));

        // The page reports to the one that has it in a frame of the width; its own rules forbid all scripts, so they go.
        string page = File.ReadAllText(files[0]);
        string open = Policy().Replace(page, "", 1);
        Assert.AreNotEqual(page, open);
        File.WriteAllText(folder.File("page.html"), open.Replace("</body>", """
            <script>
            addEventListener("load", () => setTimeout(() => parent.postMessage({
              pictures: [...document.images].map(image => [image.naturalWidth, image.naturalHeight, image.getAttribute("width"), image.getAttribute("height"), image.width]),
              fetched: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !name.startsWith("data:")),
              width: document.documentElement.scrollWidth, frame: document.documentElement.clientWidth, text: document.body.innerText,
              colour: getComputedStyle(document.body).color
            }, "*"), 100));
            </script></body>
            """, StringComparison.Ordinal));
        File.WriteAllText(folder.File("frame.html"), $$"""
            <!DOCTYPE html><meta name="color-scheme" content="light dark"><title>frame</title><pre></pre>
            <script>addEventListener("message", message => document.querySelector("pre").textContent = JSON.stringify(message.data));</script>
            <iframe src="page.html" style="width:{{width}}px; height:800px; border:0"></iframe>
            """);

        JsonElement shown = Report();
        Assert.AreEqual(files.Count - 1, shown.GetProperty("pictures").GetArrayLength());
        foreach (JsonElement picture in shown.GetProperty("pictures").EnumerateArray())
        {
            Assert.IsGreaterThan(0, picture[0].GetInt32(), "a picture was not shown");
            Assert.AreEqual((picture[2].GetString(), picture[3].GetString()), ($"{picture[0].GetInt32()}", $"{picture[1].GetInt32()}"));
            Assert.IsGreaterThan(0, picture[4].GetInt32());
        }

        Assert.AreEqual(0, shown.GetProperty("fetched").GetArrayLength(), shown.GetProperty("fetched").ToString());
        Assert.IsLessThanOrEqualTo(shown.GetProperty("frame").GetInt32(), shown.GetProperty("width").GetInt32());
        Assert.IsLessThanOrEqualTo(width, shown.GetProperty("frame").GetInt32());
        foreach (string heading in (string[])["1. The image becomes patches", "2. Self-attention", "3. Output embeddings", "4. Why this label?"])
            Assert.Contains(heading, shown.GetProperty("text").GetString()!);
        Assert.AreEqual("rgb(0, 0, 0)", shown.GetProperty("colour").GetString());
        Assert.AreEqual("rgb(255, 255, 255)", Report("--blink-settings=preferredColorScheme=0").GetProperty("colour").GetString());

        JsonElement Report(params string[] arguments)
        {
            string html = Browser.Open(folder.File("frame.html"), folder.Path, arguments);
            string text = System.Net.WebUtility.HtmlDecode(Preformatted().Match(html).Groups[1].Value);
            Assert.AreNotEqual("", text, html);
            return JsonDocument.Parse(text).RootElement;
        }
    }

    private SiglipExplanation Explain() => _explainer.Explain(Photo);

    [GeneratedRegex("<img src=\"data:image/png;base64,[A-Za-z0-9+/=]+\" alt=\"[^\"]+\" width=\"\\d+\" height=\"\\d+\">")]
    private static partial Regex Picture();

    [GeneratedRegex("<meta http-equiv=\"Content-Security-Policy\"[^>]*>")]
    private static partial Regex Policy();

    [GeneratedRegex("<pre>(.*?)</pre>", RegexOptions.Singleline)]
    private static partial Regex Preformatted();
}
