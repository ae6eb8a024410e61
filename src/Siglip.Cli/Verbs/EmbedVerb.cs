using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Siglip.Core;

namespace Siglip.Cli;

/// <summary><c>siglip embed</c>: images to a table of embeddings.</summary>
internal static class EmbedVerb
{
    public static Command Create()
    {
        var inputs = new Argument<string[]>("INPUT") { Description = "Image files, folders, or @list.txt.", Arity = ArgumentArity.OneOrMore };
        var output = new Option<string>("--output")
        {
            Description = "A .npy file (float32, a row for each image), or a .parquet or .csv file (a row for each image or patch, with its path). Patches of a NaFlex model "
                + "in NAME.npy: [images, most patches, hidden], zeros after an image's patches, and NAME.spatial_shapes.npy (int32 [images, 2]) with each image's rows and "
                + "columns.",
            Required = true,
        };
        var paths = new Option<string?>("--paths") { Description = "A text file that gets the images' paths, in the order of the rows." };
        Option<string?> kind = CommonOptions.OutputKind();
        Option<string> model = CommonOptions.Model();
        Option<int> batchSize = CommonOptions.BatchSize();
        Option<string> device = CommonOptions.Devices();
        var checkpoint = new CheckpointOptions();
        var normalize = new Option<bool>("--normalize") { Description = "Scale each embedding to length 1." };
        var onError = new Option<string>("--on-error") { Description = "fail: stop at an image that cannot be read; missing: its row is NaN, in .parquet null.", DefaultValueFactory = _ => "fail" };
        onError.OneOf("fail", "missing");
        var shard = new Option<string?>("--shard")
        {
            HelpName = "I/N|auto|auto/N",
            Description = "I/N: only part I (from 0) of N equal parts of the images. auto: the part of this task of a Slurm array; auto/N: also of this pod of a Kubernetes "
                + "indexed Job with N completions; NAME.npy becomes NAME-00000-of-00004.npy then. A part that is done, as NAME.npy.sha256 beside it says, is skipped.",
        };
        shard.Expect(Shard.IsWellFormed, Shard.Expected);

        var command = new Command("embed", "Turn images into embeddings.")
        {
            inputs, output, paths, kind, model, checkpoint.Revision, batchSize, device, checkpoint.Precision, checkpoint.ImageBackend, checkpoint.ImageSize, checkpoint.InterpolatePositionEncoding,
            checkpoint.MaxNumPatches, checkpoint.ApplyExifOrientation, checkpoint.FastDecode, normalize, onError, shard,
        };
        GroupedHelp.Add(command, [],
            "# a table of paths and embeddings of all photos of a folder", "siglip embed photos --output photos.parquet",
            "# for NumPy, with the paths in the order of the rows; photos that cannot be read become NaN",
            "siglip embed @list.txt --output photos.npy --paths photos.txt --on-error missing",
            "# every patch's embedding, of another checkpoint", "siglip embed cat.jpg --model models/siglip2-base-patch16-224 --output-kind patches --output cat.csv",
            "# the part of a task of a Slurm array", "siglip embed /data/photos --output photos.npy --shard auto");
        command.SetAction(async (parsed, cancellationToken) => await RunAsync(
            parsed.GetRequiredValue(inputs), parsed.GetRequiredValue(output), parsed.GetValue(paths), parsed.GetRequiredValue(model),
            parsed.GetValue(shard), checkpoint.Read(parsed),
            checkpoint.Read(parsed).ToEmbedderOptions() with
            {
                Output = CommonOptions.EmbeddingOf(parsed.GetValue(kind)),
                BatchSize = parsed.GetValue(batchSize),
                Device = parsed.GetRequiredValue(device),
                Normalize = parsed.GetValue(normalize),
                BadImagesAreMissing = true,
            },
            keepGoing: parsed.GetValue(onError) == "missing",
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(
        string[] inputs, string output, string? pathsOutput, string model, string? shard, CheckpointSettings settings, SiglipImageEmbedderOptions options,
        bool keepGoing, CancellationToken cancellationToken)
    {
        string extension = Path.GetExtension(output).ToLowerInvariant();
        if (Directory.Exists(output))
            throw new ArgumentException($"The output '{output}' is a folder; name a file in it that ends in .npy, .parquet or .csv.");
        if (extension is not (".npy" or ".parquet" or ".csv"))
            throw new ArgumentException($"The output '{output}' ends in '{extension}', expected .npy, .parquet or .csv.");

        if (pathsOutput is not null && Path.GetFullPath(pathsOutput) == Path.GetFullPath(output))
            throw new ArgumentException($"--output and --paths are the same file, '{output}'; name two.");

        Shard? part = shard is null ? null : Shard.Find(shard, Environment.GetEnvironmentVariable);
        if (part is not null && Shard.IsAutomatic(shard!))
            (output, pathsOutput) = (part.NameOf(output), pathsOutput is null ? null : part.NameOf(pathsOutput));
        IReadOnlyList<string> files = ImageInputs.Expand(inputs);
        files = part?.Of(files) ?? files;

        using var staged = new StagedFiles();
        StagedFiles.CheckWritable(output);
        if (pathsOutput is not null)
            StagedFiles.CheckWritable(pathsOutput);
        (SiglipImageEmbedder loaded, IReadOnlyDictionary<string, string>? origin) = Load(model, settings, options, withOrigin: part is not null || extension == ".parquet", cancellationToken);
        using SiglipImageEmbedder embedder = loaded;
        bool patches = embedder.Output == SiglipEmbeddingOutputs.PatchEmbeddings;
        string? shapesOutput = patches && extension == ".npy" && embedder.Config is Siglip2VisionConfig ? SpatialShapesWriter.PathBeside(output) : null;
        if (shapesOutput is not null)
        {
            StagedFiles.CheckWritable(shapesOutput);
            if (pathsOutput is not null && Path.GetFullPath(pathsOutput) == Path.GetFullPath(shapesOutput))
                throw new ArgumentException($"--paths is '{pathsOutput}', which gets the rows and columns of the images' patches; name another file.");
        }

        string? identity = part is null ? null : PartChecksums.Identify(part, origin!, files);
        if (identity is not null && PartChecksums.IsDone(output, identity) && (pathsOutput is null || File.Exists(pathsOutput)))
        {
            if (CommandLineRunner.Verbosity != Verbosity.Quiet)
                CommandLineRunner.Note($"part {part!.Part} of {part.Parts} is done already: {output}.");
            return CommandLineRunner.Success;
        }

        int[] shape = patches ? [embedder.PatchCount, embedder.Config.HiddenSize] : [embedder.Config.HiddenSize];

        var failed = new List<string>();
        var grids = new List<SiglipPatchGrid>();
        long start = Stopwatch.GetTimestamp();
        staged.Add(output, stream => ProgressDisplay.Run("Embedding", progress =>
        {
            using IEmbeddingWriter writer = extension switch
            {
                ".npy" => new NpyWriter(stream, files.Count, shape),
                ".parquet" => new EmbeddingParquetWriter(stream, shape, origin!),
                _ => new EmbeddingCsvWriter(stream, shape),
            };
            foreach (SiglipImageEmbedding embedding in embedder.EmbedAsync(files.ToAsyncEnumerable(), cancellationToken).ToBlockingEnumerable(cancellationToken))
            {
                string path = files[(int)embedding.Index];
                if (embedding.Error is { } error)
                {
                    if (!keepGoing)
                        throw new InvalidDataException($"{error.Message} With --on-error missing its row becomes {(extension == ".parquet" ? "null" : "NaN")} instead.", error);
                    failed.Add(error.Message);
                }

                writer.Write(path, embedding);
                grids.Add(embedding.PatchGrid);
                long done = embedding.Index + 1;
                if (done % options.BatchSize == 0 || done == files.Count) // a batch's results come at once: within it, the time left would be too long
                    progress.Report(ProgressState.OfImages(done, files.Count, Stopwatch.GetElapsedTime(start)));
            }

            return 0;
        }));
        if (pathsOutput is not null)
            staged.AddText(pathsOutput, string.Join('\n', files));
        if (shapesOutput is not null)
            staged.Add(shapesOutput, stream => SpatialShapesWriter.Write(stream, grids));
        staged.Commit();
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        if (identity is not null && failed.Count == 0)
            PartChecksums.Write(identity, output, shapesOutput is null ? [output] : [output, shapesOutput]);
        else if (identity is not null)
            File.Delete(PartChecksums.PathBeside(output)); // of an earlier run

        if (CommandLineRunner.Verbosity != Verbosity.Quiet)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{files.Count:N0} image{(files.Count == 1 ? "" : "s")} to {output}: float32 [{string.Join(", ", shape.Prepend(files.Count))}]"));
        if (shapesOutput is not null && CommandLineRunner.Verbosity != Verbosity.Quiet)
            Console.WriteLine($"Rows and columns of their patches to {shapesOutput}: int32 [{files.Count}, 2]");
        if (shapesOutput is null && File.Exists(SpatialShapesWriter.PathBeside(output)))
            CommandLineRunner.Note($"The file {SpatialShapesWriter.PathBeside(output)} is of an earlier run and does not belong to these embeddings; delete it.");
        int exitCode = CommandLineRunner.ReportFailed(failed, files.Count);
        CommandLineRunner.Summarize(files.Count, failed.Count, files.Count / elapsed.TotalSeconds, $"the embeddings are in {output}");
        return exitCode;
    }

    private static (SiglipImageEmbedder Embedder, IReadOnlyDictionary<string, string>? Origin) Load(
        string model, CheckpointSettings settings, SiglipImageEmbedderOptions options, bool withOrigin, CancellationToken cancellationToken)
    {
        using SiglipCheckpoint checkpoint = SiglipCheckpoint.Open(NamedModel.Fetch(model, settings.Revision, cancellationToken));
        settings.CheckFit(checkpoint.Config);
        RunDetails.Of(checkpoint);
        SiglipImageEmbedder embedder = SiglipImageEmbedder.Load(checkpoint, options);
        RunDetails.OfComputation(options.Device, options.Precision ?? SiglipPrecision.Float32, options.BatchSize);
        return (embedder, withOrigin ? EmbeddingOrigin.Of(checkpoint, embedder, options) : null);
    }
}
