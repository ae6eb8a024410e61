namespace Siglip.Core.Tests;

[TestClass]
public sealed class StagedFilesTests
{
    [TestMethod]
    public void Files_appear_under_their_names_when_all_are_committed()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("b"), "old");
        using (var staged = new StagedFiles())
        {
            staged.AddText(folder.File("a"), "first");
            staged.AddText(folder.File("b"), "second");
            Assert.IsFalse(File.Exists(folder.File("a")));
            Assert.AreEqual("old", File.ReadAllText(folder.File("b")));
            staged.Commit();
        }

        Assert.AreEqual("first\n", File.ReadAllText(folder.File("a")));
        Assert.AreEqual("second\n", File.ReadAllText(folder.File("b")));
        Assert.HasCount(2, Directory.GetFileSystemEntries(folder.Path));
    }

    [TestMethod]
    public void What_is_not_committed_leaves_nothing()
    {
        using var folder = new TemporaryFolder();
        using (var staged = new StagedFiles())
        {
            staged.AddText(folder.File("a"), "first");
            Assert.ThrowsExactly<InvalidOperationException>(() => staged.Add(folder.File("b"), _ => throw new InvalidOperationException()));
        }

        Assert.IsEmpty(Directory.GetFileSystemEntries(folder.Path));
    }

    [TestMethod]
    public void Disposal_does_not_fail_if_the_folder_is_gone()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File("new"));
        var staged = new StagedFiles();
        staged.AddText(folder.File("new/a"), "first");
        Directory.Delete(folder.File("new"), recursive: true);

        staged.Dispose();

        Assert.IsEmpty(Directory.GetFileSystemEntries(folder.Path));
    }

    [TestMethod]
    [OSCondition(ConditionMode.Exclude, OperatingSystems.Windows)]
    public void A_link_stays_a_link_and_its_target_is_written()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File("elsewhere"));
        File.WriteAllText(folder.File("elsewhere/target"), "old");
        File.CreateSymbolicLink(folder.File("middle"), folder.File("elsewhere/target"));
        File.CreateSymbolicLink(folder.File("link"), "middle");

        using (var staged = new StagedFiles())
        {
            staged.AddText(folder.File("link"), "new");
            staged.Commit();
        }

        Assert.AreEqual("middle", new FileInfo(folder.File("link")).LinkTarget);
        Assert.AreEqual("new\n", File.ReadAllText(folder.File("elsewhere/target")));
        Assert.HasCount(1, Directory.GetFileSystemEntries(folder.File("elsewhere")));
    }

    [TestMethod]
    [OSCondition(ConditionMode.Exclude, OperatingSystems.Windows)]
    public void A_link_to_a_file_that_does_not_exist_yet_creates_it()
    {
        using var folder = new TemporaryFolder();
        File.CreateSymbolicLink(folder.File("link"), "target");

        using var staged = new StagedFiles();
        StagedFiles.CheckWritable(folder.File("link"));
        staged.AddText(folder.File("link"), "new");
        staged.Commit();

        Assert.AreEqual("target", new FileInfo(folder.File("link")).LinkTarget);
        Assert.AreEqual("new\n", File.ReadAllText(folder.File("target")));
    }

    [TestMethod]
    [OSCondition(ConditionMode.Exclude, OperatingSystems.Windows)]
    public void A_replaced_file_passes_on_its_mode()
    {
        if (OperatingSystem.IsWindows())
            return; // the compiler asks for it
        const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupExecute;
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("a"), "old");
        File.SetUnixFileMode(folder.File("a"), Mode);

        using var staged = new StagedFiles();
        staged.AddText(folder.File("a"), "new");
        staged.Commit();

        Assert.AreEqual(Mode, File.GetUnixFileMode(folder.File("a")));
    }

    [TestMethod]
    [OSCondition(ConditionMode.Exclude, OperatingSystems.Windows)]
    public void A_device_is_written_to_and_stays_a_device()
    {
        using var staged = new StagedFiles();
        long written = 0;

        StagedFiles.CheckWritable("/dev/null");
        staged.Add("/dev/null", stream =>
        {
            stream.Write(new byte[10]);
            written = ((FileStream)stream).Name == "/dev/null" ? 10 : 0;
        });
        staged.Commit();

        Assert.AreEqual(10, written);
        Assert.IsEmpty(File.ReadAllBytes("/dev/null"));
    }

    [TestMethod]
    public void A_folder_below_a_file_is_refused_by_the_file_s_name()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("model.zip"), "");

        IOException error = Assert.ThrowsExactly<IOException>(() => StagedFiles.CheckFolderWritable(folder.File("model.zip/out/new")));

        Assert.StartsWith($"'{folder.File("model.zip/out/new")}' cannot be written: '{folder.File("model.zip")}' is a file, not a folder.", error.Message);
        Assert.ThrowsExactly<IOException>(() => StagedFiles.CheckFolderWritable(folder.File("model.zip")));
    }

    [TestMethod]
    [OSCondition(OperatingSystems.Windows)]
    public void A_folder_on_a_missing_drive_is_refused()
    {
        string? missing = Enumerable.Range('D', 23).Select(letter => $"{(char)letter}:\\").FirstOrDefault(drive => !Directory.Exists(drive));
        Assert.IsNotNull(missing);

        Assert.Contains("the drive does not exist", Assert.ThrowsExactly<IOException>(() => StagedFiles.CheckFolderWritable(missing + "out")).Message);
    }

    [TestMethod]
    public void A_folder_that_does_not_exist_yet_is_writable_and_the_check_leaves_nothing()
    {
        using var folder = new TemporaryFolder();

        StagedFiles.CheckFolderWritable(folder.File("a/b/c"));
        StagedFiles.CheckWritable(folder.File("a"));

        Assert.IsEmpty(Directory.GetFileSystemEntries(folder.Path));
    }

    [TestMethod]
    public void A_folder_in_place_of_a_file_is_refused()
    {
        using var folder = new TemporaryFolder();

        Assert.Contains("it is a folder", Assert.ThrowsExactly<IOException>(() => StagedFiles.CheckWritable(folder.Path)).Message);
    }
}
