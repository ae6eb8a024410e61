// Loads a saved ML.NET model and applies it to images. No type of Siglip.MLNet is named: referencing the package is enough.
//   dotnet run --project samples/LoadModel -- model.zip COLUMN IMAGE...
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;

if (args.Length < 3)
{
    Console.Error.WriteLine("usage: dotnet run --project samples/LoadModel -- model.zip COLUMN IMAGE...");
    return 2;
}

var mlContext = new MLContext();
ITransformer model = mlContext.Model.Load(args[0], out DataViewSchema _);
IDataView images = mlContext.Data.LoadFromEnumerable(args[2..].Select(path => new ImageRow { ImagePath = path }));
foreach (float[] values in model.Transform(images).GetColumn<float[]>(args[1]))
    Console.WriteLine(string.Join(' ', values.Select(value => value.ToString("R", CultureInfo.InvariantCulture))));
return 0;

internal sealed class ImageRow
{
    public string ImagePath { get; set; } = "";
}
