import { PreviewImage } from "../components/preview-image";
import { pictures } from "./pictures";

export default async function Page() {
  return (
    <main>
      {(await pictures()).map(picture => <PreviewImage key={picture.src} {...picture} />)}
    </main>
  );
}
