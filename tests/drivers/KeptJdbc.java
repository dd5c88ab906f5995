// Reads with PostgreSQL's JDBC driver that a cache may answer. Prints what they are; with PGWEIR_TEST_METRICS, each kind must come to hits.
// Run from its source: java -cp postgresql.jar KeptJdbc.java

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Base64;
import java.util.Properties;

public class KeptJdbc {
    static final String METRICS = System.getenv("PGWEIR_TEST_METRICS");
    static final String TEXT = "select i, s, d, f, b, n, at from kept where i = ? or i = 9 order by i";

    interface Ask {
        String rows() throws SQLException;
    }

    static long hits() throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(METRICS)).build();
        String page = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
        String sample = page.lines().filter(line -> line.startsWith("pgweir_cache_hits_total ")).findFirst().get();
        return Long.parseLong(sample.split(" ")[1]);
    }

    static void kept(String name, Ask ask) throws Exception {
        // Behind five uses a statement is one of the server's by name, and what it gives is binary.
        String first = ask.rows();
        for (int i = 0; i < 8; i++) {
            same(name, first, ask.rows());
        }
        System.out.println(name + ": " + first);
        if (METRICS == null) {
            return;
        }
        long before = hits();
        for (int i = 0; i < 300; i++) {
            same(name, first, ask.rows());
            Thread.sleep(10);
            if (hits() >= before + 5) {
                return;
            }
        }
        throw new AssertionError(name + ": " + (hits() - before) + " hits");
    }

    static void same(String name, String expected, String found) {
        if (!expected.equals(found)) {
            throw new AssertionError(name + ": " + found + ", and not " + expected);
        }
    }

    static String shown(ResultSet rows) throws SQLException {
        StringBuilder all = new StringBuilder();
        int columns = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            for (int column = 1; column <= columns; column++) {
                boolean bytes = rows.getMetaData().getColumnTypeName(column).equals("bytea");
                Object value = bytes ? Base64.getEncoder().encodeToString(rows.getBytes(column)) : rows.getObject(column);
                all.append(rows.getMetaData().getColumnName(column)).append('=').append(value).append(' ');
            }
            all.append("; ");
        }
        return all.toString();
    }

    static Connection connect(String... options) throws SQLException {
        String host = System.getenv("PGHOST") + ":" + System.getenv("PGPORT");
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        for (String option : options) {
            properties.setProperty(option.split("=")[0], option.split("=")[1]);
        }
        return DriverManager.getConnection("jdbc:postgresql://" + host + "/" + System.getenv("PGDATABASE"), properties);
    }

    /** Prepared once and used again, and anew each time; `mark` makes each text one of its own. */
    static void reads(String mark, Connection connection) throws Exception {
        try (PreparedStatement again = connection.prepareStatement(TEXT + " -- again " + mark)) {
            kept(mark + ", used again", () -> {
                again.setInt(1, 7);
                return shown(again.executeQuery());
            });
        }
        kept(mark + ", anew", () -> {
            try (PreparedStatement anew = connection.prepareStatement(TEXT + " -- anew " + mark)) {
                anew.setInt(1, 8);
                return shown(anew.executeQuery());
            }
        });
        if (mark.equals("prepareThreshold=1")) {
            // A plain statement is then prepared under a name in the batch that runs it: such a batch is not answered out of the cache.
            return;
        }
        kept(mark + ", without parameters", () -> {
            try (Statement plain = connection.createStatement()) {
                return shown(plain.executeQuery("select * from kept where i = 7 -- " + mark));
            }
        });
    }

    public static void main(String[] arguments) throws Exception {
        String[][] ways = {{}, {"prepareThreshold=1"}, {"prepareThreshold=0"}, {"binaryTransfer=false"},
            {"preferQueryMode=simple"}, {"preferQueryMode=extendedForPrepared"}, {"preferQueryMode=extendedCacheEverything"}};
        for (String[] way : ways) {
            try (Connection connection = connect(way)) {
                reads(String.join(" ", way), connection);
            }
        }
        // In a transaction nothing is answered out of the cache, and all is as it was behind it.
        try (Connection connection = connect()) {
            connection.setAutoCommit(false);
            inTransaction(connection);
            connection.setAutoCommit(true);
            reads("behind a transaction", connection);
        }
        System.out.println("all passed");
    }

    static void inTransaction(Connection connection) throws SQLException {
        try (PreparedStatement write = connection.prepareStatement("update kept set s = ? where i = 20");
            PreparedStatement read = connection.prepareStatement("select s from kept where i = 20")) {
            for (int i = 0; i < 8; i++) {
                write.setString(1, "written " + i);
                write.executeUpdate();
                same("in a transaction", "s=written " + i + " ; ", shown(read.executeQuery()));
            }
            connection.rollback();
            same("rolled back", "s=s20 ; ", shown(read.executeQuery()));
            read.setFetchSize(1);
            same("row by row", "s=s20 ; ", shown(read.executeQuery()));
            connection.commit();
        }
    }
}
