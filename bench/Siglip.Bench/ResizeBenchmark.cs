using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Siglip.Core;

namespace Siglip.Bench;

/// <summary><c>resize</c>: the image resizer beside Pillow's, on one thread each, in turns, with equal pixels.</summary>
internal static class ResizeBenchmark
{
    private static readonly (int Width, int Height)[] Images = [(2000, 1500), (4000, 3000)];
    private static readonly int[] Sizes = [224, 384, 512];
    private static readonly ImageResampling[] Filters = [ImageResampling.Bicubic, ImageResampling.Bilinear];

    public static Command Create()
    {
        var rounds = new Option<int>("--rounds") { Description = "Measurements of each kind, in turns.", DefaultValueFactory = _ => 31 };
        var output = new Option<string>("--output")
        {
            Description = "The file for the figures.",
            DefaultValueFactory = _ => Path.Combine("bench", "results", "resize.json"),
        };
        var command = new Command("resize", "Measure the image resizer beside Pillow's Image.resize.") { rounds, output };
        command.SetAction(parsed => Run(Math.Max(parsed.GetValue(rounds), 1), parsed.GetRequiredValue(output)));
        return command;
    }

    private static int Run(int rounds, string output)
    {
        PillowProcess pillow;
        try
        {
            pillow = PillowProcess.Start();
        }
        catch (FileNotFoundException missing)
        {
            Console.Error.WriteLine(missing.Message);
            return 1;
        }

        using (pillow)
        {
            JsonObject machine = Machine.Describe();
            Console.WriteLine(Machine.Line(machine));
            Console.WriteLine($"Python {pillow.Versions["python"]}, Pillow {pillow.Versions["pillow"]}, NumPy {pillow.Versions["numpy"]}");
            Console.WriteLine($"Median milliseconds of {rounds} rounds (80 % of them lie in the range); our code: {ResizerCodes.Fastest}.");
            Console.WriteLine();
            Console.WriteLine("| image | to | filter | Siglip.MLNet | Pillow | times as fast | the fastest of each | without vectors |");
            Console.WriteLine("|---|---|---|---|---|---|---|---|");

            var results = new JsonArray();
            foreach ((int width, int height) in Images)
            {
                RgbImage image = SyntheticImage.Create(width, height);
                Check(Sha256(image), pillow.MakeImage(width, height), "The source images differ");
                foreach (int size in Sizes)
                {
                    foreach (ImageResampling filter in Filters)
                        results.Add(Measure(pillow, image, size, filter, rounds));
                }
            }

            var document = new JsonObject
            {
                ["machine"] = machine,
                ["pillow"] = pillow.Versions.DeepClone(),
                ["code"] = ResizerCodes.Fastest.ToString(),
                ["rounds"] = rounds,
                ["results"] = results,
            };
            Report.Write(output, document);
            Console.WriteLine();
            Console.WriteLine($"All results are the same to the last bit. The figures are in {output}.");
        }

        return 0;
    }

    // In every round each of the three does the same work once, so that all see the same state of the machine.
    private static JsonObject Measure(PillowProcess pillow, RgbImage image, int size, ImageResampling filter, int rounds)
    {
        const int WarmUp = 5;
        string name = filter.ToString().ToLowerInvariant();
        Timings ours = new(), pillows = new(), scalar = new();
        for (int round = -WarmUp; round < rounds; round++)
        {
            (double ourTime, RgbImage resized) = Time(image, size, filter, ResizerCodes.Fastest);
            (double pillowTime, string expected) = pillow.Resize(size, size, name);
            (double scalarTime, RgbImage resizedByScalar) = Time(image, size, filter, ResizerCode.Scalar);
            Check(Sha256(resized), expected, "Pillow gives other pixels");
            Check(Sha256(resizedByScalar), expected, "Pillow gives other pixels than the code without vectors");
            if (round < 0)
                continue;
            ours.Add(ourTime);
            pillows.Add(pillowTime);
            scalar.Add(scalarTime);
        }

        double ratio = pillows.Median / ours.Median, ratioOfFastest = pillows.Fastest / ours.Fastest;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {image.Width} x {image.Height} | {size} | {name} | {ours} | {pillows} | {ratio:F1} | {ratioOfFastest:F1} | {scalar} |"));
        return new JsonObject
        {
            ["width"] = image.Width,
            ["height"] = image.Height,
            ["size"] = size,
            ["filter"] = name,
            ["siglip"] = ours.ToJson(),
            ["pillow"] = pillows.ToJson(),
            ["pillow_by_siglip"] = Math.Round(ratio, 2),
            ["pillow_by_siglip_fastest"] = Math.Round(ratioOfFastest, 2),
            ["siglip_scalar"] = scalar.ToJson(),
        };
    }

    private static (double Milliseconds, RgbImage Resized) Time(RgbImage image, int size, ImageResampling filter, ResizerCode code)
    {
        long start = Stopwatch.GetTimestamp();
        RgbImage resized = ImageResizer.Resize(image, size, size, filter, SiglipImageBackend.Pillow, code);
        return (Stopwatch.GetElapsedTime(start).TotalMilliseconds, resized);
    }

    private static string Sha256(RgbImage image) => Convert.ToHexStringLower(SHA256.HashData(image.Data));

    private static void Check(string actual, string expected, string message)
    {
        if (actual != expected)
            throw new InvalidOperationException($"{message}: SHA-256 {actual}, expected {expected}.");
    }
}
