using System.Reflection;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;
using Microsoft.CodeAnalysis.Text;

namespace Siglip.Documentation.Tests;

/// <summary>The C# of a page, compiled as the Program.cs of a console application and run in this process.</summary>
internal static class SampleProgram
{
    private const char EndOfBlock = '\u0003'; // printed by a statement between any two blocks

    /// <summary>What an application gets with <c>ImplicitUsings</c>.</summary>
    private const string ImplicitUsings = """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Net.Http;
        global using System.Threading;
        global using System.Threading.Tasks;
        """;

    /// <summary>What a web application gets on top.</summary>
    private const string WebUsings = """
        global using System.Net.Http.Json;
        global using Microsoft.AspNetCore.Builder;
        global using Microsoft.AspNetCore.Hosting;
        global using Microsoft.AspNetCore.Http;
        global using Microsoft.AspNetCore.Routing;
        global using Microsoft.Extensions.Configuration;
        global using Microsoft.Extensions.DependencyInjection;
        global using Microsoft.Extensions.Hosting;
        global using Microsoft.Extensions.Logging;
        """;

    private const string WebSdk = "#:sdk Microsoft.NET.Sdk.Web";

    private static readonly CSharpParseOptions Language = new CSharpParseOptions(LanguageVersion.CSharp14)
        .WithFeatures([new("FileBasedProgram", "true")]); // lines such as #:project are for the SDK

    private static readonly MetadataReference[] References = [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
        .Split(Path.PathSeparator).Select(path => MetadataReference.CreateFromFile(path))];

    /// <summary>Runs a page's program in a folder, and fails if it does not compile, throws, or prints anything else than the page shows.</summary>
    public static void Run(MarkdownPage page, string folder)
    {
        MethodInfo main = Compile(page).EntryPoint!;
        var output = new StringWriter();
        TextWriter console = Console.Out;
        string home = Environment.CurrentDirectory;
        Exception? exception = null;
        try
        {
            Environment.CurrentDirectory = folder;
            Console.SetOut(output);
            main.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [Array.Empty<string>()], null);
        }
        catch (Exception thrown)
        {
            exception = thrown;
        }
        finally
        {
            Console.SetOut(console);
            Environment.CurrentDirectory = home;
        }

        string[] printed = output.ToString().ReplaceLineEndings("\n").Replace(Path.DirectorySeparatorChar, '/').Split(EndOfBlock);
        if (exception is not null)
            Assert.Fail($"{page.Place(page.Blocks[printed.Length - 1])}, throws {exception}\nafter printing:\n{printed[^1]}");
        if (printed.Length != page.Blocks.Count)
            Assert.Fail($"{page.Place(page.Blocks[printed.Length - 1])}, ends the program, and the blocks after it do not run.");
        foreach ((CodeBlock block, string text) in page.Blocks.Zip(printed))
        {
            string[] lines = text.Length == 0 ? [] : text[..^(text.EndsWith('\n') ? 1 : 0)].Split('\n');
            if (!block.Shows(lines))
                Assert.Fail($"{page.Place(block)}, prints\n{string.Join('\n', lines)}\nand the page shows\n{string.Join('\n', block.Output)}");
        }
    }

    private static Assembly Compile(MarkdownPage page)
    {
        var code = new StringBuilder();
        foreach (CodeBlock block in page.Blocks)
        {
            if (block != page.Blocks[0])
                code.Append($"#line hidden\nConsole.Write((char){(int)EndOfBlock});\n");
            code.Append($"#line {block.Line} \"{page.Name}\"\n").AppendJoin('\n', block.Code).Append('\n');
        }

        var compilation = CSharpCompilation.Create(
            Path.GetFileNameWithoutExtension(page.Name),
            [Parse(ImplicitUsings, ""), Parse(page.Blocks.Any(block => block.Code.Contains(WebSdk)) ? WebUsings : "", ""), Parse(code.ToString(), page.Name)],
            References,
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, optimizationLevel: OptimizationLevel.Debug, nullableContextOptions: NullableContextOptions.Enable,
                specificDiagnosticOptions: [new("CS1701", ReportDiagnostic.Suppress)])); // a newer version of a package than a reference asks for; the SDK suppresses it, too
        using MemoryStream assembly = new(), symbols = new();
        EmitResult result = compilation.Emit(assembly, symbols, options: new EmitOptions(debugInformationFormat: DebugInformationFormat.PortablePdb));
        string[] faults = [.. result.Diagnostics.Where(diagnostic => diagnostic.Severity >= DiagnosticSeverity.Warning).Select(diagnostic =>
        {
            int line = diagnostic.Location.GetMappedLineSpan().StartLinePosition.Line + 1;
            return $"{page.Name}({line}), block {page.Blocks.Last(block => block.Line <= line).Number}: {diagnostic.Id}: {diagnostic.GetMessage()}";
        })];
        if (faults.Length > 0)
            Assert.Fail($"The C# does not compile without warnings.\n{string.Join('\n', faults)}");

        return Assembly.Load(assembly.ToArray(), symbols.ToArray());
    }

    private static SyntaxTree Parse(string code, string path) =>
        CSharpSyntaxTree.ParseText(SourceText.From(code, Encoding.UTF8), Language, path);
}
