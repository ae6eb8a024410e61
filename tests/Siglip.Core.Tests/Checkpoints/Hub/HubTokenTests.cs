using Microsoft.AspNetCore.Http;

namespace Siglip.Core.Tests;

/// <summary>Who gets the user's token, and who never.</summary>
[TestClass]
public sealed class HubTokenTests
{
    private const string Sent = $"Bearer {PlayHub.Token}";

    [TestMethod]
    public async Task The_hub_gets_the_token_and_the_host_of_large_files_does_not()
    {
        using var test = new HubTest();
        await test.DownloadAsync(test.Options with { Token = PlayHub.Token });
        Assert.IsTrue(test.Hub.Requests.Where(request => !request.IsStorage).All(request => request.Authorization == Sent));
        PlayRequest[] storage = [.. test.Hub.Requests.Where(request => request.IsStorage)];
        Assert.IsNotEmpty(storage);
        Assert.IsTrue(storage.All(request => request.Authorization is null));
    }

    [TestMethod]
    public async Task A_renamed_model_is_followed_with_the_token()
    {
        using var test = new HubTest();
        test.Hub.Repositories["test/before"] = new PlayRepository { RenamedTo = HubTest.Id };
        HuggingFaceSnapshot snapshot = await test.DownloadAsync(test.Options with { Token = PlayHub.Token }, "test/before");
        Assert.AreEqual(Path.Combine(test.Cache, "models--test--before", "snapshots", test.Commit), snapshot.Folder);
        Assert.IsTrue(test.Hub.Requests.Where(request => !request.IsStorage).All(request => request.Authorization == Sent));
    }

    [TestMethod]
    [DataRow("localhost", DisplayName = "another name of the same machine")]
    [DataRow("127.0.0.1", DisplayName = "another port of the same host")]
    public async Task A_redirect_to_another_host_gets_no_token(string host)
    {
        using var test = new HubTest();
        string elsewhere = test.Hub.StorageEndpoint.Replace("localhost", host, StringComparison.Ordinal);
        test.Hub.Interference = async (request, context) =>
        {
            if (request.Method != "GET" || request.File != "config.json")
                return false;
            if (request.IsStorage)
                await context.Response.Body.WriteAsync(test.Files["config.json"]);
            else
                context.Response.Redirect($"{elsewhere}/config.json");
            return true;
        };
        await test.DownloadAsync(test.Options with { Token = PlayHub.Token });
        Assert.IsNull(test.Hub.Requests.Single(request => request.IsStorage && request.File == "config.json").Authorization);
    }

    [TestMethod]
    public async Task A_redirect_back_to_the_hub_ends_somewhere()
    {
        using var test = new HubTest();
        test.Hub.Interference = (request, context) =>
        {
            context.Response.Redirect(request.Path);
            return Task.FromResult(true);
        };
        Exception error = await Assert.ThrowsExactlyAsync<InvalidDataException>(() => test.DownloadAsync());
        Assert.Contains("on more than 5 times", error.Message);
        Assert.HasCount(6, test.Hub.Requests);
    }

    [TestMethod]
    public async Task A_redirect_to_something_else_than_a_web_address_is_refused()
    {
        using var test = new HubTest();
        test.Hub.Interference = (_, context) =>
        {
            context.Response.Redirect("file:///etc/passwd");
            return Task.FromResult(true);
        };
        Exception error = await Assert.ThrowsExactlyAsync<InvalidDataException>(() => test.DownloadAsync());
        Assert.Contains("on to an address of the kind file", error.Message);
    }

    [TestMethod]
    public async Task No_message_has_the_token_or_a_signed_address_in_it()
    {
        using var test = new HubTest();
        HuggingFaceHubOptions options = test.Options with { Token = PlayHub.Token };
        Assert.DoesNotContain(PlayHub.Token, options.ToString());
        foreach (int status in (int[])[400, 401, 403, 404, 429, 500])
        {
            test.Hub.Interference = (request, context) => Task.FromResult(request.IsStorage && (context.Response.StatusCode = status) == status);
            string error = (await Assert.ThrowsAsync<Exception>(() => test.DownloadAsync(options))).ToString();
            Assert.DoesNotContain(PlayHub.Token, error);
            Assert.DoesNotContain("Signature", error);
        }
    }

    [TestMethod]
    public async Task A_token_that_cannot_be_one_is_refused_without_being_shown()
    {
        using var test = new HubTest();
        Exception error = await Assert.ThrowsExactlyAsync<ArgumentException>(() => test.DownloadAsync(test.Options with { Token = "hf_secret with\u00e9" }));
        Assert.Contains("The token for the hub has characters that no token has", error.Message);
        Assert.DoesNotContain("hf_secret", error.ToString());
        Assert.IsEmpty(test.Hub.Log);
    }

    [TestMethod]
    public async Task A_gated_model_comes_with_a_token_that_has_access()
    {
        using var test = new HubTest();
        test.Repository.IsGated = true;
        await test.DownloadAsync(test.Options with { Token = PlayHub.Token });
        SiglipCheckpoint.Open(test.InCache("snapshots", test.Commit)).Dispose();
    }
}
