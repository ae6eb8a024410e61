namespace Siglip.Documentation.Tests;

/// <summary>A page that is wrong fails, and the message says where.</summary>
[TestClass]
[DoNotParallelize]
public sealed class SampleProgramTests
{
    [TestMethod]
    public void Blocks_are_one_program_and_its_types_stand_at_the_end() => Run("""
        ```csharp
        using System.Text;

        var text = new StringBuilder("a");
        Console.WriteLine(text);
        ```

        ```text
        a
        ```

        ```csharp
        await Task.Yield();
        Console.Write($"{text}{new One().Value + 1}\n\n");
        ```

        ```text
        a2

        ```

        ```csharp
        class One
        {
            public int Value => 1;
        }
        ```
        """);

    [TestMethod]
    public void An_ellipsis_stands_for_the_rest_of_a_line_and_not_for_lines()
    {
        Run("```csharp\nConsole.WriteLine(\"0.123 (x)\");\n```\n```text\n0.1… (…)\n```");

        Fails("```csharp\nConsole.WriteLine(\"0.223\");\n```\n```text\n0.1…\n```", "page.md(2), block 1, prints\n0.223\nand the page shows\n0.1…");
        Fails("```csharp\nConsole.WriteLine(\"0.1\\n0.2\");\n```\n```text\n0.1…\n```", "page.md(2), block 1, prints\n0.1\n0.2\nand the page shows\n0.1…");
    }

    [TestMethod]
    public void Other_output_fails_at_its_block()
    {
        const string First = "```csharp\nint x = 1;\n```\n";

        Fails($"{First}```csharp\nConsole.WriteLine(x);\n```\n```text\n2\n```", "page.md(5), block 2, prints\n1\nand the page shows\n2");
        Fails($"{First}```csharp\nConsole.WriteLine(x);\n```", "page.md(5), block 2, prints\n1\nand the page shows\n");
        Fails($"{First}```csharp\nx++;\n```\n```text\n2\n```", "page.md(5), block 2, prints\n\nand the page shows\n2");
    }

    [TestMethod]
    public void Code_that_does_not_compile_or_has_warnings_fails_at_its_line()
    {
        Fails("```csharp\nint x = 1;\nx++;\n```\n\n```csharp\nx++;\ny++;\n```", "page.md(8), block 2: CS0103: The name 'y' does not exist");
        Fails("```csharp\nint x = 1;\n```", "page.md(2), block 1: CS0219:");
    }

    [TestMethod]
    public void An_exception_fails_at_its_block() =>
        Fails("```csharp\nConsole.WriteLine(1);\n```\n```text\n1\n```\n```csharp\n\nthrow new IOException(\"gone\");\n```",
            "page.md(8), block 2, throws System.IO.IOException: gone", "page.md:line 9");

    [TestMethod]
    public void A_block_that_ends_the_program_early_fails() =>
        Fails("```csharp\nif (args.Length == 0)\n    return;\n```\n```csharp\nConsole.WriteLine(1);\n```\n```text\n1\n```",
            "page.md(2), block 1, ends the program");

    [TestMethod]
    public void A_block_that_names_a_file_begins_another_program()
    {
        MarkdownPage page = MarkdownPage.Parse("page.md", """
            ```csharp
            // one.cs
            #:property PublishAot=false
            int x = 1;
            ```
            ```csharp
            Console.WriteLine(x);
            ```
            ```text
            1
            ```
            ```csharp
            // two.cs, for another process
            string x = "a";
            Console.WriteLine(x);
            ```
            ```text
            b
            ```
            """);
        MarkdownPage[] programs = [.. page.Programs];

        Assert.HasCount(2, programs);
        SampleProgram.Run(programs[0], AppContext.BaseDirectory);
        var exception = Assert.ThrowsExactly<AssertFailedException>(() => SampleProgram.Run(programs[1], AppContext.BaseDirectory));
        Assert.Contains("page.md(13), block 3, prints\na\nand the page shows\nb", exception.Message);
    }

    [TestMethod]
    public void A_text_block_without_code_before_it_is_refused()
    {
        var exception = Assert.ThrowsExactly<InvalidDataException>(() => MarkdownPage.Parse("page.md", "# Title\n```text\n1\n```"));

        StringAssert.StartsWith(exception.Message, "page.md(2): a text block");
        Assert.ThrowsExactly<InvalidDataException>(() => MarkdownPage.Parse("page.md", "```csharp\nint x = 1;"));
    }

    private static void Run(string markdown) => SampleProgram.Run(MarkdownPage.Parse("page.md", markdown), AppContext.BaseDirectory);

    private static void Fails(string markdown, params string[] messages)
    {
        var exception = Assert.ThrowsExactly<AssertFailedException>(() => Run(markdown));
        foreach (string message in messages)
            Assert.Contains(message, exception.Message);
    }
}
