using Microsoft.Data.Sqlite;
using Microsoft.ML;
using Microsoft.ML.Data;
using Siglip.Core;
using SkiaSharp;
using static Siglip.MLNet.Tests.TestModel;

namespace Siglip.MLNet.Tests;

[TestClass]
public sealed class EmbeddingCacheTests
{
    private readonly MLContext _mlContext = new(seed: 1);

    [TestMethod]
    public void Cross_validation_embeds_each_image_once_and_without_the_cache_once_per_fold()
    {
        IDataView data = Colors(30);
        IEstimator<ITransformer> pipeline = _mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(_mlContext.Transforms.SiglipFeaturizeImage("Features", "ImagePath", Checkpoint, SiglipOutputKind.MeanPatchEmbedding))
            .AppendCacheCheckpoint(_mlContext)
            .Append(_mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy());

        var without = CrossValidate();
        Assert.AreEqual(5 * 30, without.Embedded);
        using (SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings())
        {
            var with = CrossValidate();
            Assert.AreEqual(30, with.Embedded);
            Assert.AreEqual(30L, cache.Count);
            Assert.AreEqual((5 * 30) - 30, cache.Hits);
            Assert.AreEqual(30L, cache.Misses);
            for (int fold = 0; fold < 5; fold++) // other batches change the last digits of embeddings
                Assert.AreEqual(without.LogLosses[fold], with.LogLosses[fold], 1e-4);
            Assert.AreEqual(0, CrossValidate().Embedded, "another run");
        }

        Assert.AreEqual(5 * 30, CrossValidate().Embedded, "the cache is disposed");

        (double[] LogLosses, long Embedded) CrossValidate()
        {
            var results = _mlContext.MulticlassClassification.CrossValidate(data, pipeline, numberOfFolds: 5, seed: 1);
            foreach (var result in results) // the metrics are there: nothing is embedded behind our back
                Assert.AreEqual(1, result.Metrics.MacroAccuracy);
            long embedded = results.Sum(result => Featurizer(result.Model).ImagesEmbedded);
            foreach (var result in results)
                (result.Model as IDisposable)?.Dispose();
            return ([.. results.Select(result => result.Metrics.LogLoss)], embedded);
        }

        static SiglipImageFeaturizingTransformer Featurizer(ITransformer model) =>
            ((IEnumerable<ITransformer>)model).OfType<SiglipImageFeaturizingTransformer>().Single();
    }

    [TestMethod]
    [DataRow("Path")]
    [DataRow("Bytes")]
    [DataRow("Image")]
    public void What_is_found_are_the_bits_that_were_computed_in_all_outputs(string input)
    {
        IDataView rows = Data(_mlContext);
        IDataView data = _mlContext.Transforms.LoadImages("Image", "", "Path").Fit(rows).Transform(rows);
        using var model = Fit(data, EveryKind(input));
        IDataView transformed = model.Transform(data);
        float[][][] expected = ReadAll(transformed);
        long before = model.ImagesEmbedded;
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();

        float[][][] first = ReadAll(transformed), second = ReadAll(transformed);

        for (int column = 0; column < expected.Length; column++)
        {
            AreSame(expected[column], first[column]); // the same batches as without a cache
            AreSame(expected[column], second[column]);
        }

        Assert.AreEqual(before + Images.Count, model.ImagesEmbedded);
        Assert.AreEqual(Images.Count, cache.Count);
    }

    [TestMethod]
    public void The_patches_of_a_model_with_variable_resolution_are_found_too()
    {
        IDataView data = Data(_mlContext, NaFlexImages);
        using var model = Fit(data, EveryKind("Path") with { Model = NaFlex });
        IDataView transformed = model.Transform(data);
        float[][][] expected = ReadAll(transformed);
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        ReadAll(transformed);
        long embedded = model.ImagesEmbedded;
        float[][][] found = ReadAll(transformed);

        Assert.AreEqual(embedded, model.ImagesEmbedded);
        for (int column = 0; column < expected.Length; column++)
            AreSame(expected[column], found[column]);
        Assert.IsGreaterThan(1, found[3].Select(count => count[0]).Distinct().Count(), "images differ in their patches");
    }

    [TestMethod]
    public void A_pass_keeps_all_vectors_and_an_output_that_it_lacks_is_kept_beside_them_later()
    {
        IDataView data = Data(_mlContext);
        using var model = Fit(data, EveryKind("Path"));
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        IDataView transformed = model.Transform(data);

        Vectors(transformed, "Pooled");
        Vectors(transformed, "Mean");
        Assert.AreEqual(Images.Count, model.ImagesEmbedded);
        Assert.AreEqual(Images.Count, cache.Count);
        float[][][] all = ReadAll(transformed); // patches are new: they take much more room
        Assert.AreEqual(2 * Images.Count, model.ImagesEmbedded);
        AreClose(Expected(SiglipOutputKind.MeanPatchEmbedding), all[2]);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), all[1]);
        ReadAll(transformed);
        Vectors(transformed, "Mean");
        Assert.AreEqual(2 * Images.Count, model.ImagesEmbedded);
    }

    [TestMethod]
    public void The_same_bytes_are_one_image_whether_as_path_or_bytes_or_twice_in_a_batch()
    {
        string copy = Path.Combine(ImageFolder, "copy-of-1.png");
        File.Copy(Images[1], copy, overwrite: true);
        IDataView data = Data(_mlContext, [Images[1], Images[2], copy, Images[1], Images[2]]);
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        using var paths = Fit(data, Pooled("Path"));
        using var bytes = Fit(data, Pooled("Bytes"));

        float[][] found = Vectors(paths.Transform(data), "Pooled");
        AreSame(found, Vectors(bytes.Transform(data), "Pooled"));

        Assert.AreEqual(2L, paths.ImagesEmbedded);
        Assert.AreEqual(0L, bytes.ImagesEmbedded);
        AreSame([found[0], found[1]], [found[2], found[4]]);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding, [Images[1], Images[2]]);
        AreClose([expected[0], expected[1], expected[0], expected[0], expected[1]], found);
    }

    [TestMethod]
    public void A_changed_file_is_another_image()
    {
        string path = SaveImage("changing.png", 20, 20, (x, y) => new SKColor((byte)(12 * x), (byte)(12 * y), 0));
        IDataView data = Data(_mlContext, [path]);
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        using var model = Fit(data, Pooled("Path"));
        float[] before = Vectors(model.Transform(data), "Pooled")[0];

        SaveImage("changing.png", 20, 20, (x, y) => new SKColor(0, (byte)(12 * x), (byte)(12 * y)));
        float[] after = Vectors(model.Transform(data), "Pooled")[0];

        CollectionAssert.AreNotEqual(before, after);
        AreClose(Expected(SiglipOutputKind.PooledEmbedding, [path]), [after]);
    }

    [TestMethod]
    public void Another_model_or_another_setting_that_counts_is_another_entry_and_the_batch_size_is_not()
    {
        IDataView data = Data(_mlContext, Images.Take(2));
        SiglipImageFeaturizingOptions options = Mean("Path");
        SiglipImageFeaturizingOptions[] others =
        [
            options,
            options with { Model = CheckpointWithoutHead },
            options with { Normalize = true },
            options with { Precision = SiglipPrecision.BFloat16 },
            options with { ImageBackend = SiglipImageBackend.Torchvision },
            options with { ApplyExifOrientation = true },
            options with { FastDecode = true },
            options with { InterpolatePositionEncoding = true },
            options with { InterpolatePositionEncoding = true, ImageHeight = 24, ImageWidth = 16 },
            options with { InterpolatePositionEncoding = true, ImageHeight = 16, ImageWidth = 24 },
        ];
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        foreach (SiglipImageFeaturizingOptions other in others)
        {
            using var model = Fit(data, other);
            Vectors(model.Transform(data), "Mean");
            Assert.AreEqual(2L, model.ImagesEmbedded, $"{other}");
        }

        Assert.AreEqual(2 * others.Length, cache.Count);
        using var same = Fit(data, options with { BatchSize = 1, EmbedWeights = false, BadImages = BadImageHandling.Missing });
        Vectors(same.Transform(data), "Mean");
        Assert.AreEqual(0L, same.ImagesEmbedded);
    }

    [TestMethod]
    public void A_loaded_model_and_its_prediction_engine_find_what_the_estimator_embedded()
    {
        IDataView data = Data(_mlContext);
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        using var model = Fit(data, Pooled("Path"));
        float[][] expected = Vectors(model.Transform(data), "Pooled");
        using var loaded = (SiglipImageFeaturizingTransformer)EstimatorWorkout.SaveAndLoad(_mlContext, model, data.Schema);
        using var engine = _mlContext.Model.CreatePredictionEngine<ImageRow, Prediction>(loaded, new PredictionEngineOptions { OwnsTransformer = false });

        AreSame(expected, [.. Images.Select(path => engine.Predict(new ImageRow { Path = path }).Pooled)]);
        AreSame(expected, Vectors(loaded.Transform(data), "Pooled"));
        Assert.AreEqual(0L, loaded.ImagesEmbedded);
    }

    [TestMethod]
    public void Bad_images_are_errors_of_their_rows_and_not_kept()
    {
        string damaged = NewPath("damaged.png");
        File.WriteAllBytes(damaged, File.ReadAllBytes(Images[3])[..60]);
        IDataView data = Data(_mlContext, [Images[0], damaged, "no-such-file.png", damaged, Images[0]]);
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        foreach (string input in (string[])["Path", "Bytes"])
        {
            using var model = Fit(data, Pooled(input) with { BadImages = BadImageHandling.Missing });
            for (int i = 0; i < 2; i++)
            {
                float[][] found = Vectors(model.Transform(data), "Pooled");
                foreach (int bad in (int[])[1, 2, 3])
                    Assert.IsTrue(Array.TrueForAll(found[bad], float.IsNaN));
                AreClose(Expected(SiglipOutputKind.PooledEmbedding, [Images[0], Images[0]]), [found[0], found[4]]);
            }
        }

        Assert.AreEqual(1, cache.Count);
        using var strict = Fit(data, Pooled("Path"));
        using DataViewRowCursor cursor = strict.Transform(data).GetRowCursor(strict.GetOutputSchema(data.Schema));
        for (int row = 0; row < 5; row++)
        {
            Assert.IsTrue(cursor.MoveNext());
            if (row is 0 or 4)
                EstimatorWorkout.ReadVector(cursor, cursor.Schema["Pooled"]);
            else
                StringAssert.Contains(Assert.Throws<Exception>(() => EstimatorWorkout.ReadVector(cursor, cursor.Schema["Pooled"])).Message, $"Row {row}");
        }
    }

    [TestMethod]
    public void Memory_stays_within_its_limit_and_the_numbers_right()
    {
        IDataView data = Data(_mlContext);
        const long One = 200 + (4 * Hidden);
        var warnings = new List<string>();
        _mlContext.Log += (_, entry) =>
        {
            if (entry.Message.Contains("cache is full", StringComparison.Ordinal))
                warnings.Add(entry.Message);
        };
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { MaxMemory = (3 * One) + 10 });
        using var model = Fit(data, Pooled("Path"));
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);
        for (int pass = 0; pass < 20; pass++)
        {
            AreClose(expected, Vectors(model.Transform(data), "Pooled"));
            Assert.AreEqual(3, cache.Count);
            Assert.AreEqual(3 * One, cache.MemoryUsed);
        }

        Assert.IsGreaterThan(20, cache.Hits, "data read in the same order again and again still find some");
        Assert.HasCount(1, warnings);
        StringAssert.Contains(warnings[0], "Raise MaxMemory");
    }

    [TestMethod]
    public void Threads_that_share_the_cache_get_the_right_numbers()
    {
        IDataView data = Data(_mlContext);
        float[][] expected = Expected(SiglipOutputKind.PooledEmbedding);
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { MaxMemory = 1200, Path = NewPath("threads.db") });
        using var model = Fit(data, Pooled("Path"));
        IDataView transformed = model.Transform(data);

        Parallel.For(0, 16, new ParallelOptions { MaxDegreeOfParallelism = 8 }, _ => AreClose(expected, Vectors(transformed, "Pooled")));
        Assert.AreEqual(16L * Images.Count, cache.Hits + cache.Misses);
    }

    [TestMethod]
    public void A_file_serves_later_runs_and_others_at_the_same_time()
    {
        string path = NewPath("embeddings.db");
        float[][][] expected;
        using (SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path }))
        {
            IDataView data = Data(_mlContext);
            using var model = Fit(data, EveryKind("Path"));
            expected = ReadAll(model.Transform(data));
            Assert.AreEqual(path, cache.Path);
        }

        Assert.IsFalse(File.Exists(path + "-wal"), "the file is whole when the cache is disposed");
        var other = new MLContext();
        using SiglipEmbeddingCache first = _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path, MaxMemory = 0 });
        using SiglipEmbeddingCache second = other.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path });
        foreach (MLContext context in (MLContext[])[_mlContext, other, _mlContext])
        {
            IDataView data = Data(context);
            using var model = context.Transforms.SiglipFeaturizeImage(EveryKind("Path") with { BatchSize = 3 }).Fit(data);
            float[][][] found = ReadAll(model.Transform(data));
            for (int column = 0; column < found.Length; column++)
                AreSame(expected[column], found[column]);
            Assert.AreEqual(0L, model.ImagesEmbedded);
        }

        Assert.AreEqual(0, first.Count);
        Assert.AreEqual(Images.Count, second.Count);
    }

    [TestMethod]
    public void Several_contexts_write_one_new_file_at_once()
    {
        string path = NewPath("at-once.db");
        Parallel.For(0, 6, new ParallelOptions { MaxDegreeOfParallelism = 6 }, i =>
        {
            var context = new MLContext();
            using SiglipEmbeddingCache cache = context.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path });
            IDataView data = Data(context, Images.Skip(i % 3));
            using var model = context.Transforms.SiglipFeaturizeImage(Pooled("Path") with { BatchSize = 1 }).Fit(data);
            AreClose(Expected(SiglipOutputKind.PooledEmbedding, Images.Skip(i % 3)), Vectors(model.Transform(data), "Pooled"));
        });

        Assert.AreEqual(Images.Count, (long)Query(path, "SELECT count(*) FROM embeddings")!);
    }

    [TestMethod]
    public void Damaged_entries_are_computed_again_once()
    {
        const string ChangedByte = "pooled = CAST(substr(pooled, 1, 9) || x'7A' || substr(pooled, 11) AS BLOB)";
        string path = NewPath("hostile.db");
        IDataView data = Data(_mlContext);
        using (_mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path }))
        {
            using var model = Fit(data, EveryKind("Path"));
            ReadAll(model.Transform(data));
        }

        foreach (string change in (string[])["pooled = zeroblob(1000000)", "patches = x'00'", "rows = 2, columns = 8", ChangedByte,
            "rows = 9000000000000000000", "columns = -1", "rows = 0", "mean = NULL"])
        {
            Query(path, $"UPDATE embeddings SET {change}");
            if (change == ChangedByte)
                Assert.AreEqual(Images.Count, (long)Query(path, $"SELECT count(*) FROM embeddings WHERE length(pooled) = {(4 * Hidden) + 8}")!);
            using (_mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path }))
            {
                using var model = Fit(data, EveryKind("Path"));
                AreClose(Expected(SiglipOutputKind.PooledEmbedding), ReadAll(model.Transform(data))[1]);
                Assert.AreEqual(Images.Count, model.ImagesEmbedded, change);
            }

            using (_mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path }))
            {
                using var model = Fit(data, EveryKind("Path"));
                ReadAll(model.Transform(data));
                Assert.AreEqual(0L, model.ImagesEmbedded, $"right again after {change}");
            }
        }
    }

    [TestMethod]
    public void A_file_that_fails_later_is_given_up_with_a_warning_and_work_goes_on()
    {
        string path = NewPath("failing.db");
        var warnings = new List<string>();
        _mlContext.Log += (_, entry) =>
        {
            if (entry.Message.Contains("no longer used", StringComparison.Ordinal))
                warnings.Add(entry.Message);
        };
        IDataView data = Data(_mlContext);
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path, MaxMemory = 0 });
        using var model = Fit(data, Pooled("Path"));
        Vectors(model.Transform(data), "Pooled");
        Query(path, "DROP TABLE embeddings");

        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(model.Transform(data), "Pooled"));
        AreClose(Expected(SiglipOutputKind.PooledEmbedding), Vectors(model.Transform(data), "Pooled"));
        Assert.HasCount(1, warnings);
        StringAssert.Contains(warnings[0], path);
    }

    [TestMethod]
    public void A_file_that_is_no_cache_is_refused_and_left_as_it_is()
    {
        string text = NewPath("notes.txt"), database = NewPath("other.db"), newer = NewPath("newer.db"), damaged = NewPath("damaged.db");
        File.WriteAllText(text, new string('x', 5000));
        Query(database, "CREATE TABLE customers (name TEXT)");
        _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = newer }).Dispose();
        File.Copy(newer, damaged);
        Query(newer, "PRAGMA user_version = 7");
        using (FileStream file = File.OpenWrite(damaged))
        {
            file.Position = 100;
            file.Write(new byte[2000]);
        }

        Assert.Contains("is no embedding cache", Refused<InvalidDataException>(text));
        Assert.Contains("is a database of another program", Refused<InvalidDataException>(database));
        Assert.Contains("has format 7, this version of Siglip.MLNet expects 1", Refused<InvalidDataException>(newer));
        Assert.Contains("is no embedding cache, or a damaged one", Refused<InvalidDataException>(damaged));
        Assert.Contains("is a folder; name a file", Refused<IOException>(ImageFolder));
        Assert.Contains("does not exist; create it first", Refused<DirectoryNotFoundException>(Path.Combine(ImageFolder, "none", "cache.db")));
        Assert.Contains("Path is empty", Refused<ArgumentException>(" "));

        string Refused<TException>(string path)
            where TException : Exception
        {
            byte[] before = File.Exists(path) ? File.ReadAllBytes(path) : [];
            string message = Assert.ThrowsExactly<TException>(
                () => _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path })).Message;
            CollectionAssert.AreEqual(before, File.Exists(path) ? File.ReadAllBytes(path) : []);
            return message;
        }
    }

    [TestMethod]
    public void An_embedding_that_does_not_fit_leaves_those_of_its_image_that_are_there()
    {
        IDataView data = Data(_mlContext, Images.Take(1));
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { MaxMemory = 400 });
        using var model = Fit(data, EveryKind("Path"));
        IDataView transformed = model.Transform(data);
        Vectors(transformed, "Pooled");
        Vectors(transformed, "Patches");
        Assert.AreEqual(2L, model.ImagesEmbedded);

        Vectors(transformed, "Pooled");
        Assert.AreEqual(2L, model.ImagesEmbedded);
    }

    [TestMethod]
    public void A_bad_image_that_occurs_twice_in_a_batch_is_told_apart_by_its_row_and_name()
    {
        string one = NewPath("damaged-one.png"), two = NewPath("damaged-two.png");
        File.WriteAllBytes(one, File.ReadAllBytes(Images[3])[..60]);
        File.Copy(one, two);
        IDataView data = Data(_mlContext, [one, two]);
        using SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        using var model = Fit(data, Pooled("Path"));
        using DataViewRowCursor cursor = model.Transform(data).GetRowCursor(model.GetOutputSchema(data.Schema));
        Assert.IsTrue(cursor.MoveNext());
        Assert.IsTrue(cursor.MoveNext());
        string message = Assert.ThrowsExactly<InvalidDataException>(() => EstimatorWorkout.ReadVector(cursor, cursor.Schema["Pooled"])).Message;

        StringAssert.StartsWith(message, "Row 1, column 'Path': ");
        StringAssert.Contains(message, $"'{two}'");
    }

    [TestMethod]
    public void New_files_may_be_opened_by_several_at_once()
    {
        for (int round = 0; round < 10; round++)
        {
            string path = NewPath($"opened-{round}.db");
            using var start = new Barrier(4);
            Thread[] threads = new Thread[4];
            var faults = new System.Collections.Concurrent.ConcurrentBag<Exception>();
            for (int i = 0; i < threads.Length; i++)
            {
                threads[i] = new Thread(() =>
                {
                    start.SignalAndWait();
                    try
                    {
                        EmbeddingFile.Open(path).Dispose();
                    }
                    catch (Exception exception)
                    {
                        faults.Add(exception);
                    }
                });
                threads[i].Start();
            }

            foreach (Thread thread in threads)
                thread.Join();
            Assert.IsEmpty(faults, $"round {round}: {faults.FirstOrDefault()}");
        }
    }

    [TestMethod]
    [DataRow("DROP TABLE embeddings")]
    [DataRow("CREATE TRIGGER grow AFTER INSERT ON embeddings BEGIN DELETE FROM embeddings; END")]
    [DataRow("ALTER TABLE embeddings RENAME TO others; CREATE VIEW embeddings AS SELECT * FROM others")]
    public void A_file_whose_tables_are_not_the_caches_is_refused(string change)
    {
        string path = NewPath($"tables-{change[..6]}{change.Length}.db");
        _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path }).Dispose();
        Query(path, change);

        var refused = Assert.ThrowsExactly<InvalidDataException>(() => _mlContext.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { Path = path }));
        StringAssert.Contains(refused.Message, "Delete it, or name another file.");
    }

    [TestMethod]
    public void A_context_has_one_cache_at_a_time_and_other_contexts_have_none_of_it()
    {
        IDataView data = Data(_mlContext);
        SiglipEmbeddingCache cache = _mlContext.CacheSiglipEmbeddings();
        var second = Assert.ThrowsExactly<InvalidOperationException>(() => _mlContext.CacheSiglipEmbeddings());
        StringAssert.Contains(second.Message, "Dispose the SiglipEmbeddingCache that it has first");
        var other = new MLContext();
        using (var model = other.Transforms.SiglipFeaturizeImage(Pooled("Path")).Fit(Data(other)))
            Vectors(model.Transform(Data(other)), "Pooled");
        Assert.AreEqual(0L, cache.Hits + cache.Misses);

        cache.Dispose();
        using SiglipEmbeddingCache next = _mlContext.CacheSiglipEmbeddings();
        cache.Dispose(); // not the next one's end
        using (var model = Fit(data, Pooled("Path")))
            Vectors(model.Transform(data), "Pooled");
        Assert.AreEqual(Images.Count, next.Misses);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => other.CacheSiglipEmbeddings(new SiglipEmbeddingCacheOptions { MaxMemory = -1 }));
    }

    private static SiglipImageFeaturizingOptions EveryKind(string input) => Options(input, ("Patches", SiglipOutputKind.PatchEmbeddings),
        ("Pooled", SiglipOutputKind.PooledEmbedding), ("Mean", SiglipOutputKind.MeanPatchEmbedding), ("PatchCount", SiglipOutputKind.PatchCount),
        ("PatchGrid", SiglipOutputKind.PatchGrid));

    private static SiglipImageFeaturizingOptions Pooled(string input) => Options(input, ("Pooled", SiglipOutputKind.PooledEmbedding));

    private static SiglipImageFeaturizingOptions Mean(string input) => Options(input, ("Mean", SiglipOutputKind.MeanPatchEmbedding));

    private static float[][][] ReadAll(IDataView data)
    {
        string[] columns = ["Patches", "Pooled", "Mean", "PatchCount", "PatchGrid"];
        var values = columns.Select(_ => new List<float[]>()).ToArray();
        using DataViewRowCursor cursor = data.GetRowCursor(columns.Select(name => data.Schema[name]));
        while (cursor.MoveNext())
        {
            for (int i = 0; i < columns.Length; i++)
                values[i].Add(EstimatorWorkout.ReadVector(cursor, data.Schema[columns[i]]));
        }

        return [.. values.Select(column => column.ToArray())];
    }

    private static object? Query(string path, string text)
    {
        using var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        connection.Open();
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = text;
        return command.ExecuteScalar();
    }

    private SiglipImageFeaturizingTransformer Fit(IDataView data, SiglipImageFeaturizingOptions options) =>
        _mlContext.Transforms.SiglipFeaturizeImage(options with { BatchSize = options.BatchSize == 16 ? 3 : options.BatchSize }).Fit(data);

    /// <summary>Red and blue images, all different.</summary>
    private IDataView Colors(int count) => _mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(i => new LabeledRow
    {
        Label = i % 2 == 0 ? "red" : "blue",
        ImagePath = SaveImage($"cached-{i}.png", 12, 12, (x, y) => new SKColor((byte)(i % 2 == 0 ? 250 - i : 2 * i), (byte)(x + y), (byte)(i % 2 == 0 ? i : 255 - i))),
    }).ToArray());

    private sealed class LabeledRow
    {
        public string Label { get; set; } = "";

        public string ImagePath { get; set; } = "";
    }

    private sealed class Prediction
    {
        public float[] Pooled { get; set; } = [];
    }
}
