using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary>Runs a verb and turns whatever happens into an exit code: never a bare stack trace.</summary>
internal static partial class CommandLineRunner
{
    public const int Success = 0;
    public const int UserError = 1;
    public const int WrongUsage = 2;
    public const int SomeFailed = 3;
    public const int Cancelled = 130; // as shells have it for Ctrl+C

    /// <summary>How much is said; what the command line asks for.</summary>
    public static Verbosity Verbosity { get; private set; } = Verbosity.Normal;

    public static async Task<int> RunAsync(RootCommand root, string[] args)
    {
        if (args.Length == 0)
        {
            root.Parse("--help").Invoke();
            return WrongUsage;
        }

        ParseResult parsed;
        try
        {
            CommonOptions.AddTo(root);
            Completions.AddTo(root);
            foreach (Command command in root.Subcommands)
                CommonOptions.RefuseEmpty(command);

            // @list.txt is a list of images, which has its own reader; it is no file of further arguments.
            parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        }
        catch (Exception e)
        {
            Report(e);
            return WrongUsage;
        }

        if (parsed.Errors.Count > 0)
        {
            string verb = parsed.CommandResult.Command is RootCommand ? "" : $"{parsed.CommandResult.Command.Name} ";
            IEnumerable<string> errors = verb.Length == 0
                ? [$"There is no verb '{args[0]}'; the verbs are {string.Join(", ", root.Subcommands.Select(command => command.Name))}."]
                : parsed.Errors.Select(error => error.Message);
            return ReportWrongUsage(verb, errors);
        }

        using var cancellation = new CancellationTokenSource();
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Cancel);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Cancel);
        void Cancel(PosixSignalContext context)
        {
            context.Cancel = true;
            if (cancellation.IsCancellationRequested)
            {
                // The second time nothing is waited for.
                StagedFiles.DeleteAll();
                Console.Error.WriteLine("siglip: cancelled.");
                EndNow(Cancelled);
            }

            cancellation.Cancel();
        }

        try
        {
            Verbosity = CommonOptions.VerbosityOf(parsed);
            if (parsed.Action == parsed.CommandResult.Command.Action)
                RunDetails.OfProgram();
            if (parsed.GetValue(CommonOptions.Offline))
                NamedModel.GoOffline();
            if (parsed.Action == parsed.CommandResult.Command.Action && parsed.CommandResult.Command.Options.Any(option => option.Name == CommonOptions.DeviceName))
                TorchNative.BeginLoading(); // the verb will compute, and first reads files
            var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
            return await parsed.InvokeAsync(configuration, cancellation.Token);
        }
        catch (OperationCanceledException e) when (cancellation.IsCancellationRequested)
        {
            Console.Error.WriteLine(e is VerbCanceledException ? $"siglip: {e.Message}" : "siglip: cancelled; nothing was written.");
            return Cancelled;
        }
        catch (Exception e)
        {
            Report(e);
            return UserError;
        }
    }

    /// <summary>Says what is wrong with a command line, and where to read what is right.</summary>
    /// <param name="verb">The verb and a space, or nothing.</param>
    /// <param name="errors">A sentence each.</param>
    /// <returns>The exit code.</returns>
    public static int ReportWrongUsage(string verb, IEnumerable<string> errors)
    {
        foreach (string error in errors)
            Console.Error.WriteLine($"siglip: {OneLine(error)}");
        Console.Error.WriteLine($"Run 'siglip {verb}--help' for what is expected.");
        return WrongUsage;
    }

    /// <summary>Says something on standard error that is no reason to stop.</summary>
    public static void Note(string sentence) => Console.Error.WriteLine($"siglip: {OneLine(sentence)}");

    /// <summary>Says something on standard error if <c>--verbose</c> asks for it.</summary>
    public static void Detail(string sentence)
    {
        if (Verbosity == Verbosity.Verbose)
            Note(sentence);
    }

    /// <summary>Says on standard error how much was done, unless <c>--quiet</c> is given.</summary>
    /// <param name="images">How many there were.</param>
    /// <param name="failed">How many of them could not be read.</param>
    /// <param name="imagesPerSecond">How fast it was.</param>
    /// <param name="result">Where the result is, in words; null if it was written to standard output.</param>
    public static void Summarize(int images, int failed, double imagesPerSecond, string? result)
    {
        if (Verbosity != Verbosity.Quiet)
            Note(string.Create(CultureInfo.InvariantCulture, $"{images:N0} image{(images == 1 ? "" : "s")}, {failed:N0} failed, {imagesPerSecond:0.#} images/s"
                + $"{(result is null ? "" : $"; {result}")}."));
    }

    private static void Report(Exception e)
    {
        Console.Error.WriteLine($"siglip: {Sentence(e)}");
        if (Environment.GetEnvironmentVariable("SIGLIP_DEBUG") is not (null or "" or "0"))
            Console.Error.WriteLine(e);
    }

    /// <summary>Ends the process; nothing that is open is closed.</summary>
    /// <remarks>libtorch's destructors take a tenth of a second, and while other threads compute they end in a segmentation fault.</remarks>
    public static void EndNow(int exitCode)
    {
        if (!OperatingSystem.IsWindows())
            ExitWithoutDestructors(exitCode);
        Environment.Exit(exitCode);
    }

    [LibraryImport("libc", EntryPoint = "_exit")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial void ExitWithoutDestructors(int code);

    private static string OneLine(string message) =>
        Results.Printable(string.Join(' ', message.Split(['\r', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)));

    /// <summary>Lists the inputs that failed, if any.</summary>
    /// <returns>The exit code.</returns>
    public static int ReportFailed(IReadOnlyCollection<string> failed, int count)
    {
        if (failed.Count == 0)
            return Success;
        foreach (string failure in failed)
            Console.Error.WriteLine($"siglip: {OneLine(failure)}");
        Console.Error.WriteLine($"siglip: {failed.Count} of {count} images could not be read.");
        return SomeFailed;
    }

    // The message of what went wrong, on one line.
    private static string Sentence(Exception e)
    {
        while (e is AggregateException or TypeInitializationException or System.Reflection.TargetInvocationException && e.InnerException is { } inner)
            e = inner;

        string message = e.Message;
        if (e is ArgumentException)
            message = CheckpointSettings.InOptionNames(message);
        if (e is ArgumentException { ParamName: not null })
            message = message.Split(" (Parameter '")[0];
        if (e is ExternalException)
            message = message.Split('\n')[0]; // libtorch appends its own stack
        message = OneLine(message);
        return e is IOException or UnauthorizedAccessException or InvalidDataException or ArgumentException or InvalidOperationException
            or NotSupportedException or FormatException or DllNotFoundException or TimeoutException or OperationCanceledException
            ? message
            : $"{message} ({e.GetType().Name}; set SIGLIP_DEBUG=1 for details)";
    }
}
