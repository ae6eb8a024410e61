namespace Siglip.Cli;

/// <summary>A command line to show to the user, which works when it is copied.</summary>
internal static class CommandText
{
    private static readonly string Siglip =
        AppContext.BaseDirectory.Contains(Path.Combine("src", "Siglip.Cli", "bin"), StringComparison.Ordinal)
            ? "dotnet run -c Release --project src/Siglip.Cli --"
            : "siglip";

    public static string Of(params string[] arguments) => string.Join(' ', arguments.Select(Quote).Prepend(Siglip));

    private static string Quote(string argument) => argument.Contains(' ', StringComparison.Ordinal) ? $"\"{argument}\"" : argument;
}
