using System.Reflection;

#pragma warning disable IDE1006 // These are .NET Interactive's names.
namespace Siglip.Notebooks;

/// <summary>What C# has in a notebook only. In a file-based app what is displayed becomes a page; standard error says where it is.</summary>
internal static class Notebook
{
    private static readonly Lazy<string> Page = new(() =>
    {
        string name = Assembly.GetEntryAssembly()!.GetName().Name!;
        string page = Path.Combine(Directory.CreateTempSubdirectory("siglip-notebook-").FullName, $"{name}.html");
        File.WriteAllText(page, $"""
            <!DOCTYPE html>
            <html lang="en">
            <meta charset="utf-8">
            <title>{name}</title>
            <body style="font-family: sans-serif; max-width: 60em; margin: 2em auto">

            """);
        Console.Error.WriteLine($"Pictures and tables are on this page: {new Uri(page)}");
        return page;
    });

    public static Html HTML(string content) => new(content);

    public static void display(Html html) => File.AppendAllText(Page.Value, $"<section>{html.Content}</section>\n");
}
