using System.IO.Compression;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using static Siglip.MLNet.Tests.EstimatorWorkout;

namespace Siglip.MLNet.Tests;

/// <summary>What every estimator has to keep, each promise a check of its own; in the spirit of TestEstimatorCore of ML.NET's own tests.</summary>
internal sealed class EstimatorContract : IDisposable
{
    private readonly MLContext _mlContext;
    private readonly ContractSubject _subject;
    private readonly ITransformer _transformer;
    private readonly byte[] _saved;
    private readonly ITransformer _loaded;
    private readonly IDataView _transformed;
    private readonly DataViewSchema.Column[] _added;
    private readonly object[][] _expected; // [row][column]

    private EstimatorContract(MLContext mlContext, ContractSubject subject)
    {
        (_mlContext, _subject) = (mlContext, subject);
        _transformer = subject.Estimator.Fit(subject.Valid);
        _saved = Save(mlContext, _transformer, subject.Valid.Schema);
        _loaded = Load(mlContext, _saved);
        _transformed = _transformer.Transform(subject.Valid);
        _added = [.. subject.Outputs.Keys.Select(name => _transformed.Schema[name])];
        _expected = RowValues.ReadAll(_transformed);
        Assert.IsGreaterThan(1, _expected.Length, "rows");
    }

    /// <summary>Runs checks, the others also after one has failed.</summary>
    /// <param name="mlContext">The estimator's context.</param>
    /// <param name="subject">The estimator and its data.</param>
    /// <param name="checks">What to check.</param>
    /// <param name="record">Gets each check's result: null, or why it failed.</param>
    public static void Run(MLContext mlContext, ContractSubject subject, IEnumerable<ContractCheck> checks, Action<ContractCheck, Exception?> record)
    {
        EstimatorContract contract;
        try
        {
            contract = new EstimatorContract(mlContext, subject);
        }
        catch (Exception exception)
        {
            foreach (ContractCheck check in checks)
                record(check, exception);
            return;
        }

        using (contract)
        {
            foreach (ContractCheck check in checks)
            {
                try
                {
                    contract.Run(check);
                    record(check, null);
                }
                catch (Exception exception) // told, and the next check runs all the same
                {
                    record(check, exception);
                }
            }
        }
    }

    public void Dispose()
    {
        DisposeTwice(_transformer);
        DisposeTwice(_loaded);
    }

    private void Run(ContractCheck check)
    {
        Action run = check switch
        {
            ContractCheck.Refusals => WrongInputIsRefusedAsByMLNet,
            ContractCheck.Schema => ThePromisedSchemaIsDelivered,
            ContractCheck.Loaded => ALoadedModelGivesTheSameBits,
            ContractCheck.SavedAgain => ALoadedModelSavedAgainIsTheSameFile,
            ContractCheck.RowMapper => TheRowMapperGivesTheCursorsRows,
            ContractCheck.OtherSchema => OtherColumnsAroundTheInputChangeNothing,
            ContractCheck.Lockstep => CursorsInLockstepGiveTheSameRows,
            ContractCheck.Subsets => ASubsetOfTheColumnsHasTheSameValues,
            ContractCheck.Positions => ThereAreValuesOnlyOnARow,
            ContractCheck.Ids => RowsKeepTheirIds,
            ContractCheck.Getters => WrongGettersAreRefusedAsByMLNet,
            ContractCheck.Dispose => DisposingInAnyOrderHarmsNobodyElse,
            ContractCheck.RowCount => TheNumberOfRowsPasses,
            _ => throw new ArgumentOutOfRangeException(nameof(check)),
        };
        run();
    }

    private void WrongInputIsRefusedAsByMLNet()
    {
        ITransformer reference = _subject.Reference.Fit(_subject.ReferenceInput);
        foreach ((string wrong, IDataView input) in _subject.Invalid)
        {
            SchemaShape shape = ShapeOf(input.Schema);
            SameRefusal(wrong, () => _subject.Reference.GetOutputSchema(shape), () => _subject.Estimator.GetOutputSchema(shape));
            SameRefusal(wrong, () => _subject.Reference.Fit(input), () => _subject.Estimator.Fit(input));
            foreach (ITransformer transformer in (ITransformer[])[_transformer, _loaded])
            {
                SameRefusal(wrong, () => reference.GetOutputSchema(input.Schema), () => transformer.GetOutputSchema(input.Schema));
                SameRefusal(wrong, () => reference.Transform(input), () => transformer.Transform(input));
                SameRefusal(wrong, () => reference.GetRowToRowMapper(input.Schema), () => transformer.GetRowToRowMapper(input.Schema));
            }
        }

        // ML.NET has no vectors of images, but a shape can be made of them.
        SchemaShape images = ShapeOf(_subject.ReferenceInput.Schema), vectors = new(images.Select(column => column.Name == _subject.InputColumn
            ? CreateShapeColumn(column.Name, SchemaShape.Column.VectorKind.Vector, column.ItemType, isKey: false, annotations: null)
            : column));
        SameRefusal("vector of images", () => _subject.Reference.GetOutputSchema(vectors), () => _subject.Estimator.GetOutputSchema(vectors));
    }

    private void SameRefusal(string wrong, Action reference, Action action)
    {
        Exception expected = Assert.Throws<Exception>(reference, wrong), found = Assert.Throws<Exception>(action, wrong);
        Assert.AreEqual(expected.GetType(), found.GetType(), $"{wrong}: {found.Message}");
        Assert.AreEqual(expected.Data.Contains("ML_IsMarked"), found.Data.Contains("ML_IsMarked"), $"{wrong}: known to ML.NET as an expected error");
        StringAssert.Contains(found.Message, $"'{_subject.InputColumn}'");
    }

    private void ThePromisedSchemaIsDelivered()
    {
        DataViewSchema delivered = _transformed.Schema, input = _subject.Valid.Schema;
        CollectionAssert.AreEqual(Lines(ShapeOf(delivered)), Lines(_subject.Estimator.GetOutputSchema(ShapeOf(input))), "promised by the estimator");
        IRowToRowMapper mapper = _transformer.GetRowToRowMapper(input), loaded = _loaded.GetRowToRowMapper(input);
        using DataViewRowCursor cursor = _transformed.GetRowCursor(delivered), none = _transformed.GetRowCursor([]);
        using DataViewRow row = mapper.GetRow(_subject.Valid.GetRowCursor(input), mapper.OutputSchema);
        foreach (DataViewSchema other in (DataViewSchema[])[_transformer.GetOutputSchema(input), mapper.OutputSchema, cursor.Schema, none.Schema, row.Schema,
            _loaded.GetOutputSchema(input), _loaded.Transform(_subject.Valid).Schema, loaded.OutputSchema])
            CollectionAssert.AreEqual(Lines(delivered), Lines(other));
        Assert.AreSame(input, mapper.InputSchema);
        Assert.AreSame(input, loaded.InputSchema);
        Assert.AreSame(delivered, cursor.Schema);

        foreach ((string name, DataViewType type) in _subject.Outputs)
        {
            Assert.AreEqual(type, delivered[name].Type, name);
            Assert.AreEqual(_subject.Annotates, delivered[name].Annotations.Schema.Count > 0, name);
        }

        if (!_subject.IsOneStep)
            return;

        // Columns of the input keep their annotations and stand where ML.NET's own steps leave them.
        IDataView likewise = _subject.Outputs.Keys.Aggregate(_subject.Valid, (data, name) =>
            _mlContext.Transforms.CopyColumns(name, _subject.InputColumn).Fit(data).Transform(data));
        CollectionAssert.AreEqual(likewise.Schema.Select(column => (column.Name, column.IsHidden)).ToList(),
            delivered.Select(column => (column.Name, column.IsHidden)).ToList());
        foreach ((string before, string after) in Lines(likewise.Schema).Zip(Lines(delivered)).Where((_, i) => !IsAdded(i)))
            Assert.AreEqual(before, after);
        Assert.IsTrue(delivered.Any(column => column.Annotations.Schema.Count > 0), "there are annotations");
        Assert.IsTrue(delivered.Any(column => column.IsHidden), "there is a hidden column");
    }

    private void ALoadedModelGivesTheSameBits()
    {
        RowValues.AssertSame(_expected, RowValues.ReadAll(_loaded.Transform(_subject.Valid)), "loaded");
        RowValues.AssertSame(_expected, RowValues.ReadAll(_transformed), "read again");
    }

    private void ALoadedModelSavedAgainIsTheSameFile()
    {
        (string, string)[] expected = Entries(_saved), again = Entries(Save(_mlContext, _loaded, _subject.Valid.Schema));
        CollectionAssert.AreEqual(expected, again);

        // Entry by entry: the zip around them has the time in it.
        static (string, string)[] Entries(byte[] zip)
        {
            using var archive = new ZipArchive(new MemoryStream(zip));
            return [.. archive.Entries.Select(entry =>
            {
                using Stream stream = entry.Open();
                using var bytes = new MemoryStream();
                stream.CopyTo(bytes);
                return (entry.FullName, Convert.ToHexString(bytes.ToArray()));
            })];
        }
    }

    private void TheRowMapperGivesTheCursorsRows()
    {
        Assert.IsTrue(_transformer.IsRowToRowMapper);
        IRowToRowMapper mapper = _transformer.GetRowToRowMapper(_subject.Valid.Schema);
        DataViewSchema.Column[] mapped = [.. _added.Select(column => mapper.OutputSchema[column.Index])];
        DataViewSchema.Column[] dependencies = [.. mapper.GetDependencies(mapped)];
        Assert.IsEmpty(mapper.GetDependencies([]));
        CollectionAssert.AreEqual((string[])[_subject.InputColumn], dependencies.Select(column => column.Name).ToArray());
        foreach (DataViewSchema.Column column in _subject.Valid.Schema.Where(column => !_subject.Outputs.ContainsKey(column.Name) && !column.IsHidden))
            CollectionAssert.AreEqual((string[])[column.Name], mapper.GetDependencies([mapper.OutputSchema[column.Name]]).Select(needed => needed.Name).ToArray());

        CheckRows(mapped, dependencies);
        CheckRows([.. mapper.OutputSchema], [.. mapper.GetDependencies(mapper.OutputSchema)]);
        Assert.Throws<Exception>(() => mapper.GetRow(_subject.Rearranged.GetRowCursor(_subject.Rearranged.Schema), mapped), "a row of another schema");

        void CheckRows(DataViewSchema.Column[] columns, DataViewSchema.Column[] needed)
        {
            using DataViewRowCursor source = _subject.Valid.GetRowCursor(needed);
            using DataViewRow row = mapper.GetRow(source, columns);
            Func<object>[] readers = [.. columns.Select(column => RowValues.Reader(row, column))];
            Assert.AreEqual(-1, row.Position);
            ValueGetter<DataViewRowId> sourceId = source.GetIdGetter(), rowId = row.GetIdGetter();
            foreach (object[] expected in _expected)
            {
                Assert.IsTrue(source.MoveNext());
                Assert.AreEqual(source.Position, row.Position);
                Assert.AreEqual(source.Batch, row.Batch);
                DataViewRowId id = default, expectedId = default;
                sourceId(ref expectedId);
                rowId(ref id);
                Assert.AreEqual(expectedId, id);
                for (int i = 0; i < columns.Length; i++)
                    RowValues.AssertSame(expected[columns[i].Index], readers[i](), $"{columns[i].Name} of row {row.Position}", _subject.MapperTolerance);
            }

            Assert.IsFalse(source.MoveNext());
            Assert.AreEqual(-1, row.Position);
            row.Dispose();
        }
    }

    private void OtherColumnsAroundTheInputChangeNothing()
    {
        IDataView rearranged = _subject.Rearranged;
        Assert.AreNotEqual(_subject.Valid.Schema[_subject.InputColumn].Index, rearranged.Schema[_subject.InputColumn].Index, "the input stands elsewhere");
        string[] names = [.. _transformed.Schema.Where(column => !column.IsHidden).Select(column => column.Name)];
        object[][] expected = [.. _expected.Select(row => names.Select(name => row[_transformed.Schema[name].Index]).ToArray())];
        foreach (ITransformer transformer in (ITransformer[])[_transformer, _loaded])
        {
            IDataView transformed = transformer.Transform(rearranged);
            RowValues.AssertSame(expected, RowValues.ReadAll(transformed, names.Select(name => transformed.Schema[name])), "rearranged");

            IRowToRowMapper mapper = transformer.GetRowToRowMapper(rearranged.Schema);
            using DataViewRowCursor source = rearranged.GetRowCursor(rearranged.Schema);
            using DataViewRow row = mapper.GetRow(source, names.Select(name => mapper.OutputSchema[name]));
            Func<object>[] readers = [.. names.Select(name => RowValues.Reader(row, mapper.OutputSchema[name]))];
            foreach (object[] values in expected)
            {
                Assert.IsTrue(source.MoveNext());
                RowValues.AssertSame([values], [[.. readers.Select(reader => reader())]], "rearranged row", _subject.MapperTolerance);
            }
        }
    }

    private void CursorsInLockstepGiveTheSameRows()
    {
        using DataViewRowCursor all = _transformed.GetRowCursor(_transformed.Schema), outputs = _transformed.GetRowCursor(_added);
        DataViewRowCursor[] sets = [.. _transformed.GetRowCursorSet(_added, 1), .. _transformed.GetRowCursorSet(_transformed.Schema, 4)];
        Assert.HasCount(2, sets, "one cursor a set");
        DataViewRowCursor[] cursors = [all, outputs, .. sets];
        Func<object>[][] readers = [.. cursors.Select(cursor => _added.Select(column => RowValues.Reader(cursor, column)).ToArray())];
        foreach (object[] expected in _expected)
        {
            DataViewRowId[] ids = new DataViewRowId[cursors.Length];
            for (int i = 0; i < cursors.Length; i++)
            {
                Assert.IsTrue(cursors[i].MoveNext());
                Assert.AreEqual(all.Position, cursors[i].Position);
                cursors[i].GetIdGetter()(ref ids[i]);
            }

            Assert.AreEqual(1, ids.Distinct().Count());
            foreach (Func<object>[] reader in readers)
                RowValues.AssertSame([[.. _added.Select(column => expected[column.Index])]], [[.. reader.Select(read => read())]], "lockstep");
        }

        foreach (DataViewRowCursor cursor in cursors)
        {
            Assert.IsFalse(cursor.MoveNext());
            DisposeTwice(cursor);
        }
    }

    private void ASubsetOfTheColumnsHasTheSameValues()
    {
        DataViewSchema schema = _transformed.Schema;
        Check([]);
        foreach (DataViewSchema.Column column in schema) // hidden ones, too
            Check([column]);
        Check([.. schema.Where(column => !IsAdded(column.Index))]);
        Check([.. schema.Reverse()]);

        void Check(DataViewSchema.Column[] columns)
        {
            using DataViewRowCursor cursor = _transformed.GetRowCursor(columns);
            foreach (DataViewSchema.Column column in schema)
                Assert.AreEqual(columns.Any(active => active.Index == column.Index), cursor.IsColumnActive(column), column.Name);
            object[][] expected = [.. _expected.Select(row => columns.Select(column => row[column.Index]).ToArray())];
            RowValues.AssertSame(expected, RowValues.ReadRest(cursor, columns), string.Join(", ", columns.Select(column => column.Name)));
        }
    }

    private void ThereAreValuesOnlyOnARow()
    {
        foreach (DataViewSchema.Column[] columns in (DataViewSchema.Column[][])[_added, [.. _transformed.Schema.Where(column => !IsAdded(column.Index))],
            [.. _transformed.Schema]])
        {
            using DataViewRowCursor cursor = _transformed.GetRowCursor(columns);
            Func<object>[] before = Readers();
            ValueGetter<DataViewRowId> idGetter = cursor.GetIdGetter();
            DataViewRowId id = default;
            AssertNoRow();
            for (int row = 0; row < _expected.Length; row++)
            {
                Assert.IsTrue(cursor.MoveNext());
                Assert.AreEqual(row, cursor.Position);
                Func<object>[] now = Readers();
                for (int i = 0; i < columns.Length; i++)
                {
                    RowValues.AssertSame(_expected[row][columns[i].Index], before[i](), "getter made before the first row");
                    RowValues.AssertSame(_expected[row][columns[i].Index], now[i](), "getter made on the row");
                    RowValues.AssertSame(_expected[row][columns[i].Index], before[i](), "the same getter again");
                }
            }

            for (int i = 0; i < 2; i++)
            {
                Assert.IsFalse(cursor.MoveNext());
                AssertNoRow();
            }

            Func<object>[] Readers() => [.. columns.Select(column => RowValues.Reader(cursor, column))];

            void AssertNoRow()
            {
                Assert.AreEqual(-1, cursor.Position);
                Assert.ThrowsExactly<InvalidOperationException>(() => idGetter(ref id));
                foreach ((DataViewSchema.Column column, Func<object> reader) in columns.Zip(before))
                {
                    Exception exception = Assert.Throws<Exception>(() => reader(), column.Name);
                    if (IsAdded(column.Index))
                        Assert.IsInstanceOfType<InvalidOperationException>(exception, column.Name); // of others the input decides
                }
            }
        }
    }

    private void RowsKeepTheirIds()
    {
        DataViewRowId[] expected = Ids(_subject.Valid, []);
        Assert.AreEqual(_expected.Length, expected.Distinct().Count());
        foreach (IEnumerable<DataViewSchema.Column> columns in (IEnumerable<DataViewSchema.Column>[])[[], _added, _transformed.Schema])
            CollectionAssert.AreEqual(expected, Ids(_transformed, columns));

        static DataViewRowId[] Ids(IDataView data, IEnumerable<DataViewSchema.Column> columns)
        {
            var ids = new List<DataViewRowId>();
            using DataViewRowCursor cursor = data.GetRowCursor(columns);
            ValueGetter<DataViewRowId> getter = cursor.GetIdGetter();
            DataViewRowId id = default;
            while (cursor.MoveNext())
            {
                getter(ref id);
                ids.Add(id);
            }

            return [.. ids];
        }
    }

    private void WrongGettersAreRefusedAsByMLNet()
    {
        IDataView reference = _subject.Reference.Fit(_subject.ReferenceInput).Transform(_subject.ReferenceInput);
        var wide = new DataViewSchema.Builder();
        for (int i = 0; i <= Math.Max(reference.Schema.Count, _transformed.Schema.Count); i++)
            wide.AddColumn($"Stranger{i}", NumberDataViewType.Single);
        DataViewSchema.Column stranger = wide.ToSchema()[^1];
        foreach (DataViewSchema.Column output in _added)
        {
            if (_subject.IsOneStep) // otherwise what is asked is the chain's last step
            {
                Check("no such column in the view", (view, _) => view.GetRowCursor([stranger]));
                Check("no such column in the view's set", (view, _) => view.GetRowCursorSet([stranger], 2));
                Check("is there such a column", (view, column) => With(view, [column], cursor => cursor.IsColumnActive(stranger)));
                Check("no such column", (view, column) => With(view, [column], cursor => cursor.GetGetter<VBuffer<float>>(stranger)));
                Check("null", (view, _) => view.GetRowCursor(null!));
            }

            Check("inactive", (view, column) => With(view, [], cursor => cursor.GetGetter<VBuffer<float>>(column)));
            Check("wrong type", (view, column) => With(view, [column], cursor => cursor.GetGetter<ReadOnlyMemory<char>>(column)));

            void Check(string what, Action<IDataView, DataViewSchema.Column> misuse)
            {
                Exception expected = Assert.Throws<Exception>(() => misuse(reference, reference.Schema[^1]), $"{what}, ML.NET");
                Exception found = Assert.Throws<Exception>(() => misuse(_transformed, output), what);
                Assert.AreEqual(expected.GetType(), found.GetType(), $"{what}: {expected.Message} / {found.Message}");
            }
        }

        // ML.NET's own steps ask with a column of their schema that has another name.
        using DataViewRowCursor cursor = _transformed.GetRowCursor(_added);
        DataViewSchema names = wide.ToSchema();
        foreach (DataViewSchema.Column column in _transformed.Schema)
            Assert.AreEqual(IsAdded(column.Index), cursor.IsColumnActive(names[column.Index]), column.Name);

        static void With(IDataView view, DataViewSchema.Column[] columns, Action<DataViewRowCursor> use)
        {
            using DataViewRowCursor cursor = view.GetRowCursor(columns);
            use(cursor);
        }
    }

    private void DisposingInAnyOrderHarmsNobodyElse()
    {
        object[][] expected = [.. _expected.Select(row => _added.Select(column => row[column.Index]).ToArray())];
        ITransformer? disposed = null;
        foreach (string[] order in Permutations(["cursor", "transformer", "loaded"]))
        {
            ITransformer transformer = Load(_mlContext, _saved), loaded = Load(_mlContext, _saved);
            IDataView view = transformer.Transform(_subject.Valid), other = loaded.Transform(_subject.Valid);
            using DataViewRowCursor cursor = view.GetRowCursor(_added);
            Func<object>[] readers = [.. _added.Select(column => RowValues.Reader(cursor, column))];
            Assert.IsTrue(cursor.MoveNext());
            List<string> alive = [.. order];
            foreach (string what in order)
            {
                alive.Remove(what);
                switch (what)
                {
                    case "cursor":
                        DisposeTwice(cursor);
                        Assert.AreEqual(-1, cursor.Position);
                        Assert.IsFalse(cursor.MoveNext());
                        break;
                    case "transformer":
                        DisposeTwice(transformer);
                        AssertSaysSo(transformer, view);
                        break;
                    default:
                        DisposeTwice(loaded);
                        AssertSaysSo(loaded, other);
                        break;
                }

                string state = $"order {string.Join(", ", order)}; {what} disposed last";
                if (alive.Contains("cursor")) // the row that it stands on was computed before
                    RowValues.AssertSame([expected[0]], [[.. readers.Select(read => read())]], state);
                if (alive.Contains("transformer"))
                    RowValues.AssertSame(expected, RowValues.ReadAll(view, _added), state);
                if (alive.Contains("loaded"))
                    RowValues.AssertSame(expected, RowValues.ReadAll(other, _added), state);
            }

            disposed = transformer;
        }

        Assert.ThrowsExactly<ObjectDisposedException>(() => Save(_mlContext, disposed!, _subject.Valid.Schema));

        void AssertSaysSo(ITransformer transformer, IDataView view)
        {
            foreach (DataViewSchema.Column column in _added)
                Assert.ThrowsExactly<ObjectDisposedException>(() => RowValues.ReadAll(view, [column]), column.Name);
            Assert.ThrowsExactly<ObjectDisposedException>(() => transformer.Transform(_subject.Valid));
            Assert.ThrowsExactly<ObjectDisposedException>(() => transformer.GetOutputSchema(_subject.Valid.Schema));
            Assert.ThrowsExactly<ObjectDisposedException>(() => transformer.GetRowToRowMapper(_subject.Valid.Schema));
        }
    }

    private void TheNumberOfRowsPasses()
    {
        Assert.AreEqual(_subject.Valid.GetRowCount(), _transformed.GetRowCount());
        IDataView filtered = _mlContext.Data.FilterByCustomPredicate<AnyRow>(_subject.Valid, _ => false); // does not know how many rows remain
        Assert.IsNull(_transformer.Transform(filtered).GetRowCount());
        RowValues.AssertSame(_expected, RowValues.ReadAll(_transformer.Transform(filtered)), "filtered");

        ITransformer[] fitted = _subject.FitsOnNoRows ? [_subject.Estimator.Fit(_subject.Empty)] : [];
        foreach (ITransformer transformer in (ITransformer[])[_transformer, _loaded, .. fitted])
        {
            IDataView empty = transformer.Transform(_subject.Empty);
            Assert.AreEqual(_subject.Empty.GetRowCount(), empty.GetRowCount());
            CollectionAssert.AreEqual(Lines(_transformed.Schema), Lines(empty.Schema));
            foreach (IEnumerable<DataViewSchema.Column> columns in (IEnumerable<DataViewSchema.Column>[])[[], _added.Select(column => empty.Schema[column.Index]),
                empty.Schema])
                Assert.IsEmpty(RowValues.ReadAll(empty, columns));
        }

        foreach (ITransformer transformer in fitted)
        {
            RowValues.AssertSame(_expected, RowValues.ReadAll(transformer.Transform(_subject.Valid)), "fitted on no rows");
            DisposeTwice(transformer);
        }
    }

    private bool IsAdded(int index) => _added.Any(column => column.Index == index);

    private static void DisposeTwice(object value)
    {
        (value as IDisposable)?.Dispose();
        (value as IDisposable)?.Dispose();
    }

    private static IEnumerable<string[]> Permutations(string[] items) => items.Length <= 1
        ? [items]
        : items.SelectMany(first => Permutations([.. items.Where(item => item != first)]).Select(rest => (string[])[first, .. rest]));

    private static string[] Lines(SchemaShape shape) => [.. shape.Select(column =>
        $"{column.Name} {column.Kind} {column.ItemType} {column.IsKey} [{string.Join(", ", Lines(column.Annotations))}]").Order(StringComparer.Ordinal)];

    /// <summary>A line for each column: name, type, and annotations with their values.</summary>
    private static string[] Lines(DataViewSchema schema) => [.. schema.Select(column =>
        $"{column.Name} {column.Type} {column.IsHidden} [{string.Join(", ", column.Annotations.Schema.Select(kind => $"{kind.Name} {kind.Type} {Text(column, kind)}"))}]")];

    private static string Text(DataViewSchema.Column column, DataViewSchema.Column kind)
    {
        if ((kind.Type as VectorDataViewType)?.ItemType is not TextDataViewType)
            return "";
        VBuffer<ReadOnlyMemory<char>> value = default;
        column.Annotations.GetValue(kind.Name, ref value);
        return string.Join('|', value.DenseValues());
    }

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    private static extern SchemaShape.Column CreateShapeColumn(
        string name, SchemaShape.Column.VectorKind vecKind, DataViewType itemType, bool isKey, SchemaShape? annotations);

    private sealed class AnyRow
    {
        public float Number { get; set; }
    }
}
