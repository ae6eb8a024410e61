using System.Diagnostics;

namespace Siglip.Cli.Tests;

[TestClass]
public sealed class ShardTests
{
    [TestMethod]
    [DataRow("1/4", "", 1, 4)]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=7 SLURM_ARRAY_TASK_COUNT=8", 2, 8)]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=0 SLURM_ARRAY_TASK_COUNT=1", 0, 1)]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_COUNT=3", 2, 3)]
    [DataRow("auto/8", "SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=8", 2, 8)]
    [DataRow("auto/8", "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_COUNT=1", 3, 8)]
    [DataRow("auto/8", "SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=2 SLURM_ARRAY_TASK_MAX=5 SLURM_ARRAY_TASK_COUNT=2", 5, 8)]
    [DataRow("auto/3", "JOB_COMPLETION_INDEX=0", 0, 3)]
    public void The_numbers_come_from_the_option_or_the_environment(string text, string environment, int part, int parts) =>
        Assert.AreEqual(new Shard(part, parts), Shard.Find(text, Variables(environment)));

    [TestMethod]
    [DataRow("auto", "", "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set")]
    [DataRow("auto", "JOB_COMPLETION_INDEX=1", "write --shard auto/N with the Job's number of completions")]
    [DataRow("auto/2", "JOB_COMPLETION_INDEX=2", "completion 2 of the Kubernetes Job is none of 2 parts")]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=3", "SLURM_ARRAY_TASK_COUNT is not set")]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_COUNT=3", "task 7 of the Slurm array is none of 3 parts")]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_COUNT=1", "with 1 task from 3 to 3, may be a part of a larger one")]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=1 SLURM_ARRAY_TASK_COUNT=1", "write --shard auto/N, with the numbers of the parts, from 0")]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=5 SLURM_ARRAY_TASK_COUNT=2", "with 2 tasks from 0 to 5, may be a part of a larger one")]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=4 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=5 SLURM_ARRAY_TASK_COUNT=3", "with 3 tasks from 3 to 5, may be a part of a larger one")]
    [DataRow("auto/8", "SLURM_ARRAY_TASK_ID=8 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=8 SLURM_ARRAY_TASK_COUNT=8", "task 8 of the Slurm array is none of 8 parts, numbered from 0; start it with --array=0-7")]
    [DataRow("auto", "SLURM_ARRAY_TASK_ID=one", "SLURM_ARRAY_TASK_ID is 'one', expected a whole number.")]
    public void An_environment_that_does_not_say_which_part_it_is_is_refused(string text, string environment, string sentence) =>
        Assert.Contains(sentence, Assert.ThrowsExactly<ArgumentException>(() => Shard.Find(text, Variables(environment))).Message);

    [TestMethod]
    [DataRow("auto")]
    [DataRow("auto/3")]
    [DataRow("0/1")]
    public void Its_text_is_well_formed(string text) => Assert.IsTrue(Shard.IsWellFormed(text));

    [TestMethod]
    [DataRow("auto/0")]
    [DataRow("auto/")]
    [DataRow("4/4")]
    [DataRow("-1/4")]
    [DataRow("automatic")]
    public void Another_text_is_not(string text) => Assert.IsFalse(Shard.IsWellFormed(text));

    [TestMethod]
    public void Tasks_of_an_array_share_one_command_line_and_write_parts_of_their_own()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 3);
        string[] arguments = ["embed", images, "--output", "e.npy", "--paths", "e.txt", "--shard", "auto", "--model", TestFolder.VisionOnly, "--batch-size", "1"];

        foreach (int task in (int[])[1, 2])
            SiglipProcess.RunWith(Task(task, 2), folder.Path, arguments).Succeeded();
        SiglipProcess.Run(folder.Path, "embed", images, "--output", "all.npy", "--model", TestFolder.VisionOnly, "--batch-size", "1").Succeeded();

        CollectionAssert.AreEqual((string[])["all.npy", "e-00000-of-00002.npy", "e-00000-of-00002.npy.sha256", "e-00000-of-00002.txt", "e-00001-of-00002.npy",
            "e-00001-of-00002.npy.sha256", "e-00001-of-00002.txt", "images"], folder.Entries());
        CollectionAssert.AreEqual(EmbedTests.ReadNpy(Path.Combine(folder.Path, "all.npy"), "(6, 64)"), (float[])[
            .. EmbedTests.ReadNpy(Path.Combine(folder.Path, "e-00000-of-00002.npy"), "(3, 64)"), .. EmbedTests.ReadNpy(Path.Combine(folder.Path, "e-00001-of-00002.npy"), "(3, 64)")]);
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Linux)]
    public void Checksums_are_those_of_sha256sum()
    {
        using var folder = new TestFolder();
        SiglipProcess.Run(folder.Path, "embed", TestFolder.WideImage, "--output", "e.npy", "--output-kind", "patches", "--model", TestFolder.NaFlex, "--shard", "0/1").Succeeded();

        using Process check = Process.Start(new ProcessStartInfo("sha256sum", ["--check", "--strict", "e.npy.sha256"]) { WorkingDirectory = folder.Path, RedirectStandardOutput = true })!;
        string output = check.StandardOutput.ReadToEnd();
        check.WaitForExit();

        Assert.AreEqual(0, check.ExitCode);
        Assert.AreEqual("e.npy: OK\ne.spatial_shapes.npy: OK\n", output);
    }

    [TestMethod]
    public void A_part_that_is_done_is_skipped_and_a_damaged_one_made_anew()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 2), part = Path.Combine(folder.Path, "e.parquet");
        string[] arguments = ["embed", images, "--output", "e.parquet", "--shard", "0/2", "--model", TestFolder.VisionOnly];
        SiglipProcess.Run(folder.Path, arguments).Succeeded();
        byte[] made = File.ReadAllBytes(part);
        DateTime written = File.GetLastWriteTimeUtc(part);

        SiglipResult again = SiglipProcess.Run(folder.Path, arguments).Succeeded();
        Assert.Contains("siglip: part 0 of 2 is done already: e.parquet.", again.Errors);
        Assert.AreEqual(written, File.GetLastWriteTimeUtc(part));
        Assert.AreEqual("", SiglipProcess.Run(folder.Path, [.. arguments, "--quiet"]).Succeeded().Errors);

        File.WriteAllBytes(part, made[..^1]);
        SiglipResult repaired = SiglipProcess.Run(folder.Path, arguments).Succeeded();
        Assert.DoesNotContain("done already", repaired.Errors);
        CollectionAssert.AreEqual(made, File.ReadAllBytes(part));
    }

    [TestMethod]
    public void A_part_of_other_images_or_with_other_options_is_not_taken_for_this_one()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 2);
        string[] arguments = ["embed", images, "--output", "e.csv", "--shard", "0/2", "--model", TestFolder.VisionOnly];
        SiglipProcess.Run(folder.Path, arguments).Succeeded();
        byte[] made = File.ReadAllBytes(Path.Combine(folder.Path, "e.csv"));

        SiglipProcess.Run(folder.Path, [.. arguments, "--normalize"]).Failed("'e.csv' is a part that was made of other images, or with another model or other options");
        string image = Directory.GetFiles(Path.Combine(images, "frog"))[0];
        DateTime changed = File.GetLastWriteTimeUtc(image);
        File.SetLastWriteTimeUtc(image, changed.AddSeconds(1));
        SiglipProcess.Run(folder.Path, arguments).Failed("'e.csv' is a part that was made of other images");
        File.SetLastWriteTimeUtc(image, changed);
        Assert.Contains("is done already", SiglipProcess.Run(folder.Path, arguments).Succeeded().Errors);
        File.Delete(image);
        SiglipProcess.Run(folder.Path, arguments).Failed("name another output, or delete it and e.csv.sha256.");

        CollectionAssert.AreEqual(made, File.ReadAllBytes(Path.Combine(folder.Path, "e.csv")));
    }

    [TestMethod]
    public void A_part_with_images_that_could_not_be_read_is_not_done()
    {
        using var folder = new TestFolder();
        string images = folder.WriteImages("images", perClass: 2), bad = Path.Combine(images, "frog", "0.png");
        byte[] good = File.ReadAllBytes(Directory.GetFiles(Path.Combine(images, "frog"))[0]);
        File.WriteAllText(bad, "no image");
        string[] arguments = ["embed", images, "--output", "e.npy", "--shard", "0/1", "--on-error", "missing", "--model", TestFolder.VisionOnly];

        for (int run = 0; run < 2; run++)
        {
            SiglipResult result = SiglipProcess.Run(folder.Path, arguments);
            Assert.AreEqual(3, result.ExitCode, result.Errors);
            CollectionAssert.AreEqual((string[])["e.npy", "images"], folder.Entries());
        }

        File.WriteAllBytes(bad, good);
        SiglipProcess.Run(folder.Path, arguments).Succeeded();
        CollectionAssert.AreEqual((string[])["e.npy", "e.npy.sha256", "images"], folder.Entries());
    }

    private static (string Name, string? Value)[] Task(int id, int count) =>
        [("SLURM_ARRAY_TASK_ID", $"{id}"), ("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_MAX", $"{count}"), ("SLURM_ARRAY_TASK_COUNT", $"{count}")];

    private static Func<string, string?> Variables(string environment)
    {
        Dictionary<string, string> variables = environment.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        return name => variables.GetValueOrDefault(name);
    }
}
