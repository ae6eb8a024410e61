using System.Globalization;

namespace Siglip.Cli;

/// <summary>One of several equal parts of the images, each of which is the work of a process of its own.</summary>
/// <param name="Part">Which one, from 0.</param>
/// <param name="Parts">How many there are.</param>
internal sealed record Shard(int Part, int Parts)
{
    public const string Expected = "I/N with I from 0 to N - 1, such as 0/4; or auto, or auto/N";

    private const string Auto = "auto";

    /// <summary>Whether a text is one that <see cref="Find"/> takes.</summary>
    public static bool IsWellFormed(string text) => text == Auto || NumberAfterAuto(text) is not null || Parse(text) is not null;

    /// <summary>Whether the numbers come from the environment.</summary>
    public static bool IsAutomatic(string text) => text.StartsWith(Auto, StringComparison.Ordinal);

    /// <summary>The part that a text names.</summary>
    /// <param name="text">I/N; or <c>auto</c>, for the environment of a task of a whole Slurm array, whose tasks are numbered from 0 or 1 without gaps; or <c>auto/N</c>, for a task of a Slurm
    /// array or a pod of a Kubernetes indexed Job, whose number is that of the part.</param>
    /// <param name="variable">Gives a variable of the environment.</param>
    /// <exception cref="ArgumentException">The environment does not say which part it is, or another number of parts.</exception>
    public static Shard Find(string text, Func<string, string?> variable)
    {
        if (Parse(text) is { } named)
            return named;

        int? parts = NumberAfterAuto(text);
        if (Number("SLURM_ARRAY_TASK_ID") is { } task)
        {
            if (parts is { } given)
                return InRange(task, given, $"task {task} of the Slurm array", $"start it with --array=0-{given - 1}, or with the numbers of the parts that are missing");

            int first = Needed("SLURM_ARRAY_TASK_MIN"), last = Needed("SLURM_ARRAY_TASK_MAX"), count = Needed("SLURM_ARRAY_TASK_COUNT");
            if (first > 1 || (first > 0 && count == 1) || last - first != count - 1)
                throw new ArgumentException($"--shard is 'auto', and the Slurm array, with {count} task{(count == 1 ? "" : "s")} from {first} to {last}, may be a part of a larger one, "
                    + "whose number of tasks Slurm does not say; write --shard auto/N, with the numbers of the parts, from 0, after --array=.");
            return InRange(task - first, count, $"task {task} of the Slurm array", "write --shard auto/N", first);
        }

        if (Number("JOB_COMPLETION_INDEX") is { } index)
            return InRange(index, parts ?? throw new ArgumentException("--shard is 'auto', and Kubernetes does not say how many completions the Job has; write --shard auto/N "
                + "with the Job's number of completions."), $"completion {index} of the Kubernetes Job", "write the Job's number of completions after auto/");
        throw new ArgumentException($"--shard is '{text}', and neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set: this is no task of a Slurm array and no pod of a "
            + "Kubernetes indexed Job; write --shard I/N.");

        int Needed(string name) => Number(name) ?? throw new ArgumentException(
            $"--shard is 'auto', and Slurm does not say which tasks the array has ({name} is not set); write --shard auto/N.");

        int? Number(string name) => variable(name) is not { Length: > 0 } value ? null
            : int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number
            : throw new ArgumentException($"{name} is '{value}', expected a whole number.");

        Shard InRange(int part, int count, string what, string advice, int first = 0) => part >= 0 && part < count ? new Shard(part, count)
            : throw new ArgumentException($"--shard is '{text}', and {what} is none of {count} parts, numbered from {first}; {advice}.");
    }

    /// <summary>This part of a list.</summary>
    public IReadOnlyList<T> Of<T>(IReadOnlyList<T> all)
    {
        int start = (int)((long)all.Count * Part / Parts), end = (int)((long)all.Count * (Part + 1) / Parts);
        return [.. all.Skip(start).Take(end - start)];
    }

    /// <summary>The name of this part of a file, as the parts of checkpoints are named: e-00000-of-00004.npy of e.npy.</summary>
    public string NameOf(string file) => Path.Combine(Path.GetDirectoryName(file) ?? "", string.Create(CultureInfo.InvariantCulture,
        $"{Path.GetFileNameWithoutExtension(file)}-{Part:D5}-of-{Parts:D5}{Path.GetExtension(file)}"));

    private static int? NumberAfterAuto(string text) =>
        text.Split('/') is [Auto, var number] && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int parts) && parts > 0 ? parts : null;

    private static Shard? Parse(string text) =>
        text.Split('/') is [var first, var second]
        && int.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out int part)
        && int.TryParse(second, NumberStyles.None, CultureInfo.InvariantCulture, out int parts)
        && part < parts
            ? new Shard(part, parts)
            : null;
}
