using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.Data.Sqlite;
using Siglip.Core;

namespace Siglip.MLNet;

/// <summary>Embeddings in a SQLite file, which other processes may use at the same time. Any number of threads.</summary>
internal sealed class EmbeddingFile : IDisposable
{
    private const int ApplicationId = 0x5369674C; // "SigL": tells the file from other databases
    private const int Version = 1;
    private const string Table = "CREATE TABLE embeddings (image BLOB NOT NULL PRIMARY KEY, rows INTEGER NOT NULL, columns INTEGER NOT NULL, "
        + "patches BLOB, pooled BLOB, mean BLOB) STRICT"; // word for word as SQLite keeps it
    private const int CheckLength = 8; // bytes of a SHA-256 behind the values
    private const int NotADatabase = 26, Damaged = 11, CannotOpen = 14; // SQLite's codes

    private readonly Lock _gate = new();
    private readonly SqliteConnection _connection;

    private EmbeddingFile(SqliteConnection connection) => _connection = connection;

    /// <exception cref="InvalidDataException">The file is something else, or of another version.</exception>
    /// <exception cref="IOException">The file cannot be opened or written.</exception>
    public static EmbeddingFile Open(string path)
    {
        string full = Path.GetFullPath(path);
        if (Directory.Exists(full))
            throw new IOException($"The embedding cache '{full}' is a folder; name a file.");
        if (Path.GetDirectoryName(full) is { } folder && !Directory.Exists(folder))
            throw new DirectoryNotFoundException($"The folder of the embedding cache '{full}' does not exist; create it first.");
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = full, Pooling = false }.ToString());
        try
        {
            connection.Open();
            Prepare(connection, full);
            return new EmbeddingFile(connection);
        }
        catch (SqliteException exception)
        {
            connection.Dispose();
            throw exception.SqliteErrorCode switch
            {
                NotADatabase or Damaged => new InvalidDataException(
                    $"The file '{full}' is no embedding cache, or a damaged one: {exception.Message} Delete it, or name another file.", exception),
                CannotOpen => new IOException($"The embedding cache '{full}' cannot be opened. Check the permissions of the file and its folder.", exception),
                _ => new IOException($"The embedding cache '{full}' cannot be used: {exception.Message}", exception),
            };
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <returns>Null if there is no undamaged embedding of the image with these outputs, or none of them is wanted.</returns>
    /// <exception cref="SqliteException">The file can no longer be read.</exception>
    public CachedEmbedding? Find(ImageKey key, SiglipEmbeddingOutputs outputs, EmbeddingSpace space)
    {
        if (outputs == SiglipEmbeddingOutputs.None)
            return null; // nothing would tell whether the number of patches is damaged
        lock (_gate)
        {
            // What has another length than this model's embeddings have does not come from this library, and is not read.
            using SqliteCommand command = _connection.CreateCommand();
            command.CommandText = """
                SELECT rows, columns,
                    CASE WHEN $patches AND typeof(patches) = 'blob' AND length(patches) = 4 * $hidden * rows * columns + $check THEN patches END,
                    CASE WHEN $pooled AND typeof(pooled) = 'blob' AND length(pooled) = 4 * $hidden + $check THEN pooled END,
                    CASE WHEN $mean AND typeof(mean) = 'blob' AND length(mean) = 4 * $hidden + $check THEN mean END
                FROM embeddings
                WHERE image = $image AND rows BETWEEN 1 AND $most AND columns BETWEEN 1 AND $most AND rows * columns <= $most
                """;
            command.Parameters.AddWithValue("$image", key.ToBytes());
            command.Parameters.AddWithValue("$patches", outputs.HasFlag(SiglipEmbeddingOutputs.PatchEmbeddings));
            command.Parameters.AddWithValue("$pooled", outputs.HasFlag(SiglipEmbeddingOutputs.PooledEmbedding));
            command.Parameters.AddWithValue("$mean", outputs.HasFlag(SiglipEmbeddingOutputs.MeanPatchEmbedding));
            command.Parameters.AddWithValue("$hidden", space.HiddenSize);
            command.Parameters.AddWithValue("$most", space.PatchCount);
            command.Parameters.AddWithValue("$check", CheckLength);
            using SqliteDataReader row = command.ExecuteReader();
            if (!row.Read())
                return null;
            var grid = new SiglipPatchGrid(row.GetInt32(0), row.GetInt32(1));
            var found = new CachedEmbedding(grid, Floats(row, 2, key, grid), Floats(row, 3, key, grid), Floats(row, 4, key, grid));
            return found.Has(outputs) ? found : null;
        }
    }

    /// <summary>Adds embeddings, all or none; to those of an image that is there already, the outputs that it lacks. Others are replaced.</summary>
    /// <exception cref="SqliteException">The file can no longer be written.</exception>
    public void Add(IEnumerable<(ImageKey Key, CachedEmbedding Embedding)> entries)
    {
        lock (_gate)
        {
            using SqliteTransaction transaction = _connection.BeginTransaction();
            using SqliteCommand command = _connection.CreateCommand();
            command.Transaction = transaction;
            command.CommandText = """
                INSERT INTO embeddings (image, rows, columns, patches, pooled, mean) VALUES ($image, $rows, $columns, $patches, $pooled, $mean)
                ON CONFLICT (image) DO UPDATE SET rows = excluded.rows, columns = excluded.columns, patches = coalesce(excluded.patches, patches),
                    pooled = coalesce(excluded.pooled, pooled), mean = coalesce(excluded.mean, mean)
                """;
            foreach ((ImageKey key, CachedEmbedding embedding) in entries)
            {
                command.Parameters.Clear();
                command.Parameters.AddWithValue("$image", key.ToBytes());
                command.Parameters.AddWithValue("$rows", embedding.Grid.Rows);
                command.Parameters.AddWithValue("$columns", embedding.Grid.Columns);
                command.Parameters.AddWithValue("$patches", (object?)Bytes(embedding.Patches, 2, key, embedding.Grid) ?? DBNull.Value);
                command.Parameters.AddWithValue("$pooled", (object?)Bytes(embedding.Pooled, 3, key, embedding.Grid) ?? DBNull.Value);
                command.Parameters.AddWithValue("$mean", (object?)Bytes(embedding.Mean, 4, key, embedding.Grid) ?? DBNull.Value);
                command.ExecuteNonQuery();
            }

            transaction.Commit();
        }
    }

    public void Dispose()
    {
        lock (_gate)
            _connection.Dispose();
    }

    private static void Prepare(SqliteConnection connection, string path)
    {
        (long application, long version, string tables) = Read(connection);
        bool isNew = application == 0 && version == 0 && tables.Length == 0;
        if (!isNew && application != ApplicationId)
            throw new InvalidDataException($"The file '{path}' is a database of another program; name another file for the embedding cache.");
        if (!isNew && version != Version)
            throw new InvalidDataException($"The embedding cache '{path}' has format {version}, this version of Siglip.MLNet expects {Version}; delete it, or name "
                + "another file.");
        if (!isNew && tables != Table)
            throw new InvalidDataException($"The embedding cache '{path}' has other tables than it was made with. Delete it, or name another file.");
        Execute(connection, "PRAGMA journal_mode = WAL"); // others may read while one writes
        Execute(connection, "PRAGMA synchronous = NORMAL"); // what a power failure loses is computed again
        if (!isNew)
            return;
        Execute(connection, $"""
            BEGIN IMMEDIATE;
            {Table.Replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", StringComparison.Ordinal)};
            PRAGMA application_id = {ApplicationId};
            PRAGMA user_version = {Version};
            COMMIT;
            """);
    }

    // At one moment: another process may be making the file.
    private static (long Application, long Version, string Tables) Read(SqliteConnection connection)
    {
        using SqliteTransaction moment = connection.BeginTransaction(deferred: true);
        return (Number(connection, "PRAGMA application_id"), Number(connection, "PRAGMA user_version"),
            (string)Scalar(connection, "SELECT coalesce(group_concat(sql, ';'), '') FROM sqlite_schema"));
    }

    private static long Number(SqliteConnection connection, string text) => (long)Scalar(connection, text);

    private static object Scalar(SqliteConnection connection, string text)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = text;
        return command.ExecuteScalar()!;
    }

    private static void Execute(SqliteConnection connection, string text)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = text;
        command.ExecuteNonQuery();
    }

    // The values, little-endian as .NET's platforms are, and a checksum: SQLite has none, and a changed bit would be another embedding.
    private static byte[]? Bytes(float[]? values, int column, ImageKey key, SiglipPatchGrid grid) =>
        values is null ? null : [.. MemoryMarshal.AsBytes(values.AsSpan()), .. Check(MemoryMarshal.AsBytes(values.AsSpan()), column, key, grid)];

    private static float[]? Floats(SqliteDataReader row, int column, ImageKey key, SiglipPatchGrid grid)
    {
        if (row.IsDBNull(column))
            return null;
        ReadOnlySpan<byte> stored = (byte[])row.GetValue(column), values = stored[..^CheckLength];
        return stored[^CheckLength..].SequenceEqual(Check(values, column, key, grid)) ? MemoryMarshal.Cast<byte, float>(values).ToArray() : null;
    }

    private static byte[] Check(ReadOnlySpan<byte> values, int column, ImageKey key, SiglipPatchGrid grid)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(key.ToBytes());
        Span<byte> place = stackalloc byte[12];
        BinaryPrimitives.WriteInt32LittleEndian(place, column);
        BinaryPrimitives.WriteInt32LittleEndian(place[4..], grid.Rows);
        BinaryPrimitives.WriteInt32LittleEndian(place[8..], grid.Columns);
        hash.AppendData(place);
        hash.AppendData(values);
        return hash.GetHashAndReset()[..CheckLength];
    }
}
