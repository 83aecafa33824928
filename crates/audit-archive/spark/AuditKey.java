import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.crypto.DecryptionPropertiesFactory;
import org.apache.parquet.crypto.FileDecryptionProperties;
import org.apache.parquet.crypto.ParquetCryptoRuntimeException;

/**
 * Opens encrypted audit archives in Spark and all else that reads Parquet by parquet-mr. The setting audit.key.file names the
 * key file, which every executor must be able to read; README.md beside this directory says how to use it.
 */
public class AuditKey implements DecryptionPropertiesFactory {
    @Override
    public FileDecryptionProperties getFileDecryptionProperties(Configuration configuration, Path file) {
        return FileDecryptionProperties.builder().withFooterKey(key(configuration)).withPlaintextFilesAllowed().build();
    }

    /** The SHA-256 digest of the first identity of the key file. */
    private static byte[] key(Configuration configuration) {
        Path path = new Path(configuration.get("audit.key.file"));
        try {
            BufferedReader lines =
                new BufferedReader(new InputStreamReader(path.getFileSystem(configuration).open(path), "US-ASCII"));
            try {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    if (line.startsWith("AGE-SECRET-KEY-1")) {
                        return MessageDigest.getInstance("SHA-256").digest(line.trim().getBytes("US-ASCII"));
                    }
                }
            } finally {
                lines.close();
            }
        } catch (IOException failure) {
            throw new ParquetCryptoRuntimeException("could not read the key file " + path, failure);
        } catch (GeneralSecurityException failure) {
            throw new ParquetCryptoRuntimeException("no SHA-256", failure);
        }
        throw new ParquetCryptoRuntimeException("no key in the key file " + path);
    }
}
